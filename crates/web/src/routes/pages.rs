//! The pages, and the forms on them that work without a script.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use secrecy::SecretString;
use serde::Deserialize;
use slipway_ingest::{Listed, SignInError, Token};

use super::session::{end_session, renew};
use super::{id, see_other};
use crate::app::State;
use crate::caller::{Anybody, Person};
use crate::client::browser;
use crate::cookie;
use crate::error::ApiError;
use crate::pages::{SignInPage, UploadPage, UploadsPage, page, sentence};
use crate::posted::Form;
use crate::same_origin::is_proven;

/// `GET /`
pub(crate) async fn uploads(
    state: web::Data<State>,
    Person(caller): Person,
) -> Result<HttpResponse, ApiError> {
    let list = state.ingest.uploads(&caller, Listed::Own, None).await?;
    let uploads = list.entries.into_iter().map(|(upload, _)| upload).collect();
    let more = list.next.is_some();
    page(
        StatusCode::OK,
        &UploadsPage::new(&caller, uploads, state.ingest.bytes_max(), more),
    )
}

/// `GET /uploads/{id}`
pub(crate) async fn upload(
    state: web::Data<State>,
    Person(caller): Person,
    upload: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (upload, jobs) = state.ingest.upload(&caller, id(&upload)?).await?;
    let twin = state.ingest.twin(&caller, &upload).await?;
    page(
        StatusCode::OK,
        &UploadPage::new(&caller, upload, twin, jobs),
    )
}

/// What a link to the sign-in page may carry.
#[derive(Deserialize)]
pub(crate) struct SignInQuery {
    link: Option<String>,
    next: Option<String>,
}

/// `GET /sign-in`: a form, or, behind a one-time link, a button. The link is not
/// used up by looking: chat programs and scanners look at links too.
pub(crate) async fn sign_in(
    state: web::Data<State>,
    Anybody(caller): Anybody,
    query: web::Query<SignInQuery>,
) -> Result<HttpResponse, ApiError> {
    let SignInQuery { link, next } = query.into_inner();
    let next = local(next);
    if caller.is_some() && link.is_none() {
        return Ok(see_other(&next));
    }
    let seen = match &link {
        Some(link) => state.ingest.link(&Token::shown(link)).await?,
        None => None,
    };
    page(StatusCode::OK, &SignInPage::new(next).with_link(link, seen))
}

/// The form of the sign-in page.
#[derive(Deserialize)]
pub(crate) struct SignInForm {
    #[serde(default)]
    email: String,
    password: Option<SecretString>,
    link: Option<String>,
    next: Option<String>,
}

/// `POST /sign-in`
pub(crate) async fn sign_in_form(
    request: HttpRequest,
    state: web::Data<State>,
    Form(form): Form<SignInForm>,
) -> Result<HttpResponse, ApiError> {
    // Or another site could sign somebody in as somebody else.
    if !is_proven(&request) {
        return Err(ApiError::cross_site());
    }
    let SignInForm {
        email,
        password,
        link,
        next,
    } = form;
    let next = local(next);
    let browser = browser(&request, &state);
    let signed_in = match &link {
        Some(link) => {
            let link = Token::shown(link);
            state.ingest.sign_in_by_link(&link, password, browser).await
        }
        None => {
            state.limits.admit_password(browser.network)?;
            let password = password.unwrap_or_default();
            state.ingest.sign_in(&email, password, browser).await
        }
    };
    match signed_in {
        Ok(token) => {
            renew(&request, &state).await?;
            let mut response = see_other(&next);
            let cookie = cookie::signed_in(&token, &state.settings.sessions);
            response.add_cookie(&cookie).map_err(anyhow::Error::from)?;
            Ok(response)
        }
        Err(SignInError::Fault(fault)) => Err(SignInError::Fault(fault).into()),
        Err(refusal) => {
            let problem = sentence(&refusal.to_string());
            let again = SignInPage::new(next).with_problem(problem, email);
            // A password that will not do has not used the link up.
            let again = match (&refusal, link) {
                (SignInError::Password(_), Some(link)) => {
                    let seen = state.ingest.link(&Token::shown(&link)).await?;
                    again.with_link(Some(link), seen)
                }
                _ => again,
            };
            page(ApiError::from(refusal).status, &again)
        }
    }
}

/// `POST /sign-out`
pub(crate) async fn sign_out_form(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    end_session(&request, &state).await?;
    let mut response = see_other("/sign-in");
    let cookie = cookie::signed_out(&state.settings.sessions);
    response.add_cookie(&cookie).map_err(anyhow::Error::from)?;
    Ok(response)
}

/// A path of ours to go on to; anything that could lead elsewhere is the start page.
fn local(next: Option<String>) -> String {
    let is_local = |path: &String| {
        path.starts_with('/')
            && !path.starts_with("//")
            && path
                .bytes()
                .all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_local).unwrap_or_else(|| "/".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn going_on_never_leads_elsewhere() {
        for (next, to) in [
            ("/uploads/1?x=2", "/uploads/1?x=2"),
            ("https://evil.example.com/", "/"),
            ("//evil.example.com/", "/"),
            ("/\\evil.example.com/", "/"),
            ("/a\r\nSet-Cookie: x", "/"),
            ("", "/"),
        ] {
            assert_eq!(local(Some(next.to_owned())), to, "{next:?}");
        }
    }
}
