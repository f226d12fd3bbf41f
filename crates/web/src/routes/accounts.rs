//! `/accounts` and `/audit`: what administrators do about people, by forms that need no
//! script.
//!
//! A link that was made is in the answer to its form and nowhere else; whoever made it
//! passes it on, because there is no mail server to do so.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use slipway_core::Role;
use slipway_ingest::{AccountError, Caller, TokenError};
use uuid::Uuid;

use super::{id, see_other};
use crate::account_pages::{AccountsPage, AuditPage, Notice};
use crate::app::State;
use crate::caller::Person;
use crate::client::{by, origin};
use crate::error::ApiError;
use crate::pages::{page, sentence};
use crate::posted::Form;

const HERE: &str = "/accounts";

/// `GET /accounts`
pub(crate) async fn list(
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
    let accounts = state.ingest.accounts(&by(caller, request, state)).await?;
    let status = match notice {
        Notice::Problem(_) => StatusCode::UNPROCESSABLE_ENTITY,
        _ => StatusCode::OK,
    };
    page(status, &AccountsPage::new(caller, accounts, notice))
}

/// The form that invites somebody.
#[derive(Deserialize)]
pub(crate) struct InvitationForm {
    email: String,
    role: String,
}

/// `POST /accounts`: adds an account and shows the link that invites to it.
pub(crate) async fn invite(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    Form(form): Form<InvitationForm>,
) -> Result<HttpResponse, ApiError> {
    let by = by(&caller, &request, &state);
    let role = role(&form.role)?;
    let added = state.ingest.add_account(&by, &form.email, role, None).await;
    let email = match added {
        Ok(account) => account.email,
        Err(error) => return refused(&request, &state, &caller, error).await,
    };
    linked(&request, &state, &caller, &email).await
}

/// The form of a button beside an account.
#[derive(Deserialize)]
pub(crate) struct AccountForm {
    email: String,
}

/// `POST /accounts/link`: shows a link by which somebody chooses a new password.
pub(crate) async fn link(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    Form(form): Form<AccountForm>,
) -> Result<HttpResponse, ApiError> {
    linked(&request, &state, &caller, &form.email).await
}

async fn linked(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    email: &str,
) -> Result<HttpResponse, ApiError> {
    let by = by(caller, request, state);
    let notice = match state.ingest.make_link(&by, email, true).await {
        Ok(link) => Notice::Link {
            url: format!("{}/sign-in?link={}", origin(request, state)?, link.expose()),
            email: email.to_owned(),
        },
        Err(error @ TokenError::NoAccount(_)) => Notice::Problem(sentence(&error.to_string())),
        Err(error) => return Err(error.into()),
    };
    shown(request, state, caller, notice).await
}

/// `POST /accounts/disabled`
pub(crate) async fn disable(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    Form(form): Form<AccountForm>,
) -> Result<HttpResponse, ApiError> {
    let by = by(&caller, &request, &state);
    let changed = state.ingest.set_account_disabled(&by, &form.email, true);
    concluded(changed.await, &request, &state, &caller).await
}

/// `POST /accounts/enabled`
pub(crate) async fn enable(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    Form(form): Form<AccountForm>,
) -> Result<HttpResponse, ApiError> {
    let by = by(&caller, &request, &state);
    let changed = state.ingest.set_account_disabled(&by, &form.email, false);
    concluded(changed.await, &request, &state, &caller).await
}

/// `POST /accounts/role`
pub(crate) async fn set_role(
    request: HttpRequest,
    state: web::Data<State>,
    Person(caller): Person,
    Form(form): Form<InvitationForm>,
) -> Result<HttpResponse, ApiError> {
    let by = by(&caller, &request, &state);
    let changed = state.ingest.set_role(&by, &form.email, role(&form.role)?);
    concluded(changed.await, &request, &state, &caller).await
}

async fn concluded(
    changed: Result<(), AccountError>,
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
) -> Result<HttpResponse, ApiError> {
    match changed {
        Ok(()) => Ok(see_other(HERE)),
        Err(error) => refused(request, state, caller, error).await,
    }
}

/// The page again with what is wrong, if whoever fills in the form can mend it.
async fn refused(
    request: &HttpRequest,
    state: &State,
    caller: &Caller,
    error: AccountError,
) -> Result<HttpResponse, ApiError> {
    match error {
        AccountError::NotAllowed(_) | AccountError::Fault(_) => Err(error.into()),
        error => {
            let problem = Notice::Problem(sentence(&error.to_string()));
            shown(request, state, caller, problem).await
        }
    }
}

fn role(word: &str) -> Result<Role, ApiError> {
    let unknown = || ApiError::bad_request("role", "a role is member or administrator");
    word.parse().or(Err(unknown()))
}

/// Where a page of the trail begins.
#[derive(Deserialize)]
pub(crate) struct Start {
    before: Option<String>,
}

/// `GET /audit[?before=]`
pub(crate) async fn audit(
    state: web::Data<State>,
    Person(caller): Person,
    start: web::Query<Start>,
) -> Result<HttpResponse, ApiError> {
    let before: Option<Uuid> = start.before.as_deref().map(id).transpose()?;
    let events = state.ingest.events(&caller, before).await?;
    page(StatusCode::OK, &AuditPage::new(&caller, events))
}
