//! What every answer has in common: a request id, headers that keep browsers
//! safe, one line in the log, and, if something did not work, a body that says so.
//!
//! It never turns a refusal into success or a fault into a refusal.

use std::collections::BTreeMap;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpRequest, HttpResponse};
use schemars::JsonSchema;
use serde::Serialize;
use tokio::time::Instant;

use crate::app::State;
use crate::caller::Anybody;
use crate::client;
use crate::error::ApiError;
use crate::pages;
use crate::routes::files;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Request ids that are taken over from a router in front of us: long enough to
/// be unique, short enough for a log line.
const REQUEST_ID_CHARACTERS: std::ops::RangeInclusive<usize> = 20..=200;

/// Sent where the router has ended TLS, and only there: a year, which is what lists of
/// such sites ask for (RFC 6797 section 6.1).
const HSTS: HeaderValue = HeaderValue::from_static("max-age=31536000; includeSubDomains");

/// Sent with every answer (OWASP secure headers). Scripts, styles and connections
/// come from here and nowhere else, and no page of ours is framed.
const HEADERS: [(HeaderName, &str); 7] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
         connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
    (
        header::PERMISSIONS_POLICY,
        "camera=(), geolocation=(), microphone=()",
    ),
    // What is shown to one account must not be kept for another.
    (header::CACHE_CONTROL, "no-store"),
];

/// A body that says what did not work (RFC 9457 section 3).
#[derive(Serialize, JsonSchema)]
pub(crate) struct Problem<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    detail: &'a str,
    instance: &'a str,
    request_id: &'a str,
    #[serde(flatten)]
    members: BTreeMap<&'static str, u64>,
}

/// What did not work, as far as it can be told.
struct Told {
    code: &'static str,
    detail: String,
    kind: Option<&'static str>,
    members: BTreeMap<&'static str, u64>,
}

/// Wraps every route.
pub(crate) async fn answer(
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse, Error> {
    let began = Instant::now();
    let id = request_id(request.headers());
    let mut request = request;
    files::override_method(&mut request);
    let response = match admitted(request.request()) {
        Ok(()) => next.call(request).await?,
        Err(refusal) => request.error_response(refusal),
    };
    let failed = needs_body(response.response());
    let response = if failed {
        explain(response, &id).await
    } else {
        response
    };
    Ok(finish(files::close_unread(response), &id, began))
}

/// Whether the request is looked at at all.
fn admitted(request: &HttpRequest) -> Result<(), ApiError> {
    client::admit(request, State::of(request)?)
}

/// The router's id if there is a well-formed one, so that its log lines and ours
/// can be joined; else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers
        .get(X_REQUEST_ID)
        .and_then(|value| value.to_str().ok());
    let sound = given.filter(|id| {
        REQUEST_ID_CHARACTERS.contains(&id.len())
            && id
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    });
    sound.map_or_else(
        || slipway_core::RequestId::new().to_string(),
        ToOwned::to_owned,
    )
}

/// Whether an answer says in its status alone that something did not work.
fn needs_body<B: MessageBody>(response: &HttpResponse<B>) -> bool {
    let failed = response.status().is_client_error() || response.status().is_server_error();
    failed && !response.headers().contains_key(header::CONTENT_TYPE) || response.error().is_some()
}

/// Puts a page or a problem in the place of an error.
async fn explain<B: MessageBody + 'static>(
    response: ServiceResponse<B>,
    id: &str,
) -> ServiceResponse {
    let (request, response) = response.into_parts();
    let status = response.status();
    let told = described(&response, id);
    let mut headers = response.headers().clone();
    headers.remove(header::CONTENT_LENGTH);
    let mut answer = if status.is_redirection() {
        HttpResponse::new(status)
    } else if wants_page(&request) {
        // Whoever is turned away at the door costs no question to the database.
        let turned_away = [
            StatusCode::TOO_MANY_REQUESTS,
            StatusCode::MISDIRECTED_REQUEST,
        ];
        let viewer = match turned_away.contains(&status) {
            true => None,
            false => Anybody::for_page(&request).await,
        };
        pages::error(status, &told.detail, id, viewer)
    } else {
        problem(&request, status, told, id)
    };
    for (name, value) in headers {
        if name != header::CONTENT_TYPE {
            answer.headers_mut().insert(name, value);
        }
    }
    ServiceResponse::new(request, answer)
}

/// What an answer says about what did not work; a fault is logged here, once.
fn described<B>(response: &HttpResponse<B>, id: &str) -> Told {
    let status = response.status();
    match response
        .error()
        .and_then(|error| error.as_error::<ApiError>())
    {
        Some(error) => {
            if let Some(fault) = &error.fault {
                let fault = format!("{fault:#}");
                if status == StatusCode::SERVICE_UNAVAILABLE {
                    tracing::warn!(request_id = id, fault, "too busy for request {id}");
                } else {
                    tracing::error!(request_id = id, fault, "request {id} failed");
                }
            }
            Told {
                code: error.code,
                detail: error.detail.clone(),
                kind: error.kind,
                members: error.members.iter().copied().collect(),
            }
        }
        None => {
            let (code, detail) = refused(status);
            Told {
                code,
                detail,
                kind: None,
                members: BTreeMap::new(),
            }
        }
    }
}

/// The code and the sentence for what the framework refused before a handler was
/// asked; its own sentence may repeat input, so only the status is passed on.
fn refused(status: StatusCode) -> (&'static str, String) {
    if status == StatusCode::NOT_FOUND {
        return ("not_found", "there is nothing at this address".to_owned());
    }
    let reason = status.canonical_reason().unwrap_or("refused");
    ("refused", reason.to_lowercase())
}

fn problem(request: &HttpRequest, status: StatusCode, told: Told, id: &str) -> HttpResponse {
    let ours = || format!("urn:slipway:problem:{}", told.code);
    let problem = Problem {
        kind: told.kind.map_or_else(ours, ToOwned::to_owned),
        title: status.canonical_reason().unwrap_or("Error"),
        status: status.as_u16(),
        detail: &told.detail,
        instance: request.path(),
        request_id: id,
        members: told.members,
    };
    HttpResponse::build(status)
        .content_type("application/problem+json")
        .json(problem)
}

/// Whether whoever asks is a person before a browser.
pub(crate) fn wants_page(request: &HttpRequest) -> bool {
    let programs = [
        "/api/", "/files", "/live", "/healthz", "/readyz", "/assets/",
    ];
    let accepts = request
        .headers()
        .get(header::ACCEPT)
        .and_then(|value| value.to_str().ok());
    accepts.is_some_and(|accepts| accepts.contains("text/html"))
        && !programs
            .iter()
            .any(|prefix| request.path().starts_with(prefix))
}

fn finish<B>(mut response: ServiceResponse<B>, id: &str, began: Instant) -> ServiceResponse<B> {
    let status = response.status();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
    if let Ok(value) = HeaderValue::try_from(id) {
        headers.insert(X_REQUEST_ID, value);
    }
    let (request, headers) = (response.request().clone(), response.headers_mut());
    if files::is_below(request.path()) {
        files::add_headers(&request, headers);
    }
    if State::of(&request).is_ok_and(|state| client::is_secure(&request, &state.settings.server)) {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
    }
    let route = request.match_pattern().unwrap_or_else(|| "none".to_owned());
    // Health checks come every few seconds and are worth a line only when they fail.
    if !(route == "/healthz" || route == "/readyz") || status.is_server_error() {
        log(request.method(), &route, status, id, began);
    }
    response
}

fn log(method: &Method, route: &str, status: StatusCode, id: &str, began: Instant) {
    let milliseconds = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    let status = status.as_u16();
    tracing::info!(
        target: "slipway::request",
        %method, route, status, milliseconds, request_id = id,
        "{method} {route} {status} in {milliseconds} ms"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_routers_id_is_taken_over_if_it_is_well_formed() {
        let id = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(X_REQUEST_ID, HeaderValue::from_static(text));
            request_id(&headers)
        };
        let sound = "6f1a2b3c-0000-4000-8000-000000000001";

        assert_eq!(id(sound), sound);
        for text in [
            "short",
            "has spaces and is long enough",
            "<script>alert(1)</script>",
        ] {
            assert_ne!(id(text), text);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
