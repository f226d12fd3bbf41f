//! Who makes a request: an extractor that a handler takes as an argument.
//!
//! It never decides what they may do; it proves who they are.

use std::pin::Pin;

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest};
use slipway_ingest::{Caller, Token};

use crate::app::State;
use crate::cookie;
use crate::error::ApiError;
use crate::pages::Viewer;
use crate::same_origin::{is_proven, needs_proof};

/// For whom the page was served that makes the request.
const VIEWER: &str = "slipway-viewer";

/// A caller whose identity is proven; without one, the request ends with 401.
pub(crate) struct Proven(pub(crate) Caller);

/// A person before a page; without one, the browser goes to the sign-in page.
pub(crate) struct Person(pub(crate) Caller);

/// Somebody or nobody.
pub(crate) struct Anybody(pub(crate) Option<Caller>);

type Extracted<T> = Pin<Box<dyn Future<Output = Result<T, ApiError>>>>;

impl FromRequest for Proven {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            identify(&request)
                .await?
                .map(Self)
                .ok_or_else(ApiError::not_signed_in)
        })
    }
}

impl FromRequest for Person {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move {
            let next = request
                .uri()
                .path_and_query()
                .map_or("/", |path| path.as_str());
            identify(&request)
                .await?
                .map(Self)
                .ok_or_else(|| ApiError::sign_in_first(next))
        })
    }
}

impl FromRequest for Anybody {
    type Error = ApiError;
    type Future = Extracted<Self>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let request = request.clone();
        Box::pin(async move { identify(&request).await.map(Self) })
    }
}

impl Anybody {
    /// Who an error page greets: nobody, if that cannot be told.
    pub(crate) async fn for_page(request: &HttpRequest) -> Option<Viewer> {
        identify(request)
            .await
            .ok()
            .flatten()
            .as_ref()
            .map(Viewer::from)
    }
}

/// Who makes a request; nobody, if what they show is not (or no longer) good.
pub(crate) async fn identify(request: &HttpRequest) -> Result<Option<Caller>, ApiError> {
    let Some(shown) = shown(request)? else {
        return Ok(None);
    };
    let caller = shown.caller(State::of(request)?).await?;
    let is_token = matches!(shown, Shown::Token(_));
    Ok(caller.filter(|caller| is_token || is_meant(request, caller)))
}

/// What somebody shows to prove who they are. It can be asked again after the request.
pub(crate) enum Shown {
    Token(Token),
    Session(Token),
}

/// What a request shows; refused where a browser bears it for another site.
pub(crate) fn shown(request: &HttpRequest) -> Result<Option<Shown>, ApiError> {
    let state = State::of(request)?;
    if let Some(token) = bearer(request) {
        return Ok(Some(Shown::Token(token)));
    }
    let Some(token) = cookie::token(request, &state.settings.sessions) else {
        return Ok(None);
    };
    if needs_proof(request) && !is_proven(request) {
        return Err(ApiError::cross_site());
    }
    Ok(Some(Shown::Session(token)))
}

impl Shown {
    /// Whom it proves; nobody, if it is not (or no longer) good.
    pub(crate) async fn caller(&self, state: &State) -> anyhow::Result<Option<Caller>> {
        match self {
            Self::Token(token) => state.ingest.caller_by_token(token).await,
            Self::Session(token) => state.ingest.caller_by_session(token).await,
        }
    }
}

/// Whether a page that says for whom it was served means this caller: another tab of
/// the browser may have signed in as somebody else since.
fn is_meant(request: &HttpRequest, caller: &Caller) -> bool {
    let viewer = request.headers().get(VIEWER);
    viewer.is_none_or(|viewer| viewer.as_bytes() == caller.id().to_string().as_bytes())
}

/// The token of an `Authorization: Bearer` header (RFC 6750 section 2.1).
fn bearer(request: &HttpRequest) -> Option<Token> {
    let value = request
        .headers()
        .get(header::AUTHORIZATION)?
        .to_str()
        .ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| Token::shown(token.trim()))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn only_bearer_tokens_are_read() {
        for (value, token) in [
            ("Bearer slw_x", Some("slw_x")),
            ("bearer  slw_x ", Some("slw_x")),
            ("Basic dTpw", None),
            ("Bearer", None),
        ] {
            let request = TestRequest::default()
                .insert_header(("Authorization", value))
                .to_http_request();
            assert_eq!(
                bearer(&request).as_ref().map(Token::expose),
                token,
                "{value}"
            );
        }
    }
}
