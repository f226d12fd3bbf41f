//! `/api/v1/session`: signing in and out, for programs that keep a cookie.

use actix_web::{HttpRequest, HttpResponse, web};
use schemars::JsonSchema;
use secrecy::SecretString;
use serde::Deserialize;

use crate::app::State;
use crate::client::browser;
use crate::cookie;
use crate::error::ApiError;
use crate::posted::Json;
use crate::same_origin::is_proven;

/// What signs somebody in.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct SignIn {
    email: String,
    #[schemars(with = "String")]
    password: SecretString,
}

/// `POST /api/v1/session`
pub(crate) async fn sign_in(
    request: HttpRequest,
    state: web::Data<State>,
    Json(SignIn { email, password }): Json<SignIn>,
) -> Result<HttpResponse, ApiError> {
    // JSON cannot be sent across sites without the browser asking us first.
    let browser = browser(&request, &state);
    state.limits.admit_password(browser.network)?;
    let token = state.ingest.sign_in(&email, password, browser).await?;
    renew(&request, &state).await?;
    let cookie = cookie::signed_in(&token, &state.settings.sessions);
    Ok(HttpResponse::NoContent().cookie(cookie).finish())
}

/// `DELETE /api/v1/session`
pub(crate) async fn sign_out(
    request: HttpRequest,
    state: web::Data<State>,
) -> Result<HttpResponse, ApiError> {
    end_session(&request, &state).await?;
    let cookie = cookie::signed_out(&state.settings.sessions);
    Ok(HttpResponse::NoContent().cookie(cookie).finish())
}

/// Ends the session of the request's cookie, if there is one.
pub(super) async fn end_session(request: &HttpRequest, state: &State) -> Result<(), ApiError> {
    if let Some(token) = cookie::token(request, &state.settings.sessions) {
        if !is_proven(request) {
            return Err(ApiError::cross_site());
        }
        let browser = browser(request, state);
        state.ingest.sign_out(&token, browser).await?;
    }
    Ok(())
}

/// Ends what a browser was signed in by before it signed in anew, so that a session
/// somebody else may know is of no use.
pub(super) async fn renew(request: &HttpRequest, state: &State) -> Result<(), ApiError> {
    if is_proven(request) {
        end_session(request, state).await?;
    }
    Ok(())
}
