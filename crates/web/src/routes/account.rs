//! `/account`: one's own sessions, password and tokens, by forms that need no script.
//!
//! Every form is answered by the page again, or sends there; a token that was made is
//! in the answer to its form and nowhere else.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;
use slipway_core::Scope;
use slipway_ingest::{AccountError, Caller, NewToken, Token, TokenError};

use super::{digest, id, see_other};
use crate::account_pages::{AccountPage, Notice};
use crate::app::State;
use crate::caller::Person;
use crate::client::{by, network};
use crate::cookie;
use crate::error::ApiError;
use crate::pages::{page, sentence};
use crate::posted::Form;

const HERE: &str = "/account";

const DAY: Duration = Duration::from_secs(24 * 3600);

/// `GET /account`
pub(crate) async fn show(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
) -> Result<HttpResponse, ApiError> {
    shown(&request, &state, &caller, Notice::None).await
}

async fn shown(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    notice: Notice,
) -> Result<HttpResponse, ApiError> {
    let session = session(request, state);
    let sessions = state.ingest.sessions(caller, &session).await?;
    let tokens = state.ingest.tokens(&by(caller, request, state)).await?;
    let has_password = state.ingest.has_password(caller).await?;
    let status = match notice {
        Notice::Problem(_) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    let shown = AccountPage::new(caller, sessions, tokens)
        .with_password(has_password)
        .with_notice(notice);
    page(status, &shown)
}

/// The token of the session that the request came in; of none if a script sent it.
fn session(request: &HttpRequest, state: &State) -> Token {
    cookie::token(request, &state.settings.sessions).unwrap_or_else(|| Token::shown(""))
}

/// `POST /account/sessions/revocation`: every session but this one.
pub(crate) async fn end_sessions(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
) -> Result<HttpResponse, ApiError> {
    let (by, session) = (by(&caller, &request, &state), session(&request, &state));
    state.ingest.end_sessions(&by, &session, None).await?;
    Ok(see_other(HERE))
}

/// `POST /account/sessions/{id}/revocation`
pub(crate) async fn end_session(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    one: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (by, session) = (by(&caller, &request, &state), session(&request, &state));
    let one = Some(digest(&one)?);
    if state.ingest.end_sessions(&by, &session, one).await? == 0 {
        return Err(ApiError::no_such_page());
    }
    Ok(see_other(HERE))
}

/// The form for another password.
#[derive(Deserialize)]
pub(crate) struct PasswordForm {
    #[serde(default)]
    current: SecretString,
    password: SecretString,
}

/// `POST /account/password`
pub(crate) async fn password(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    Form(form): Form<PasswordForm>,
) -> Result<HttpResponse, ApiError> {
    let by = by(&caller, &request, &state);
    state
        .limits
        .admit_password(network(&request, &state.settings.server))?;
    let session = session(&request, &state);
    let PasswordForm { current, password } = form;
    let changed = state
        .ingest
        .change_password(&by, &session, current, password);
    let notice = match changed.await {
        Ok(()) => Notice::Said("The password is changed, and every other session has ended."),
        Err(error @ (AccountError::WrongPassword | AccountError::PasswordLength(_))) => {
            Notice::Problem(sentence(&error.to_string()))
        }
        Err(error) => return Err(error.into()),
    };
    shown(&request, &state, &caller, notice).await
}

/// The form for a token. Boxes that are not ticked are not sent.
#[derive(Deserialize)]
pub(crate) struct TokenForm {
    name: String,
    days: u16,
    upload: Option<String>,
    read: Option<String>,
    admin: Option<String>,
}

/// `POST /account/tokens`: the token is in the answer, this once.
pub(crate) async fn make_token(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    Form(form): Form<TokenForm>,
) -> Result<HttpResponse, ApiError> {
    let ticked = [
        (form.upload, Scope::Upload),
        (form.read, Scope::Read),
        (form.admin, Scope::Admin),
    ];
    let scopes = ticked
        .into_iter()
        .filter_map(|(box_, scope)| box_.map(|_| scope));
    let new = NewToken {
        name: form.name.trim().to_owned(),
        scopes: scopes.collect(),
        lifetime: DAY * form.days.into(),
    };
    let by = by(&caller, &request, &state);
    let made = state.ingest.make_token(&by, caller.email(), new).await;
    let notice = match made {
        Ok(token) => Notice::Token(token.expose().to_owned()),
        Err(TokenError::Unsound(why)) => Notice::Problem(sentence(why)),
        Err(error) => return Err(error.into()),
    };
    shown(&request, &state, &caller, notice).await
}

/// `POST /account/tokens/{id}/revocation`
pub(crate) async fn revoke_token(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    token: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let by = by(&caller, &request, &state);
    if !state.ingest.revoke_token(&by, id(&token)?).await? {
        return Err(ApiError::no_such_page());
    }
    Ok(see_other(HERE))
}
