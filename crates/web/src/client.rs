//! Where a request comes from, and by what name and scheme it asks for us: the only
//! file that reads what a router in front of us says.
//!
//! A client may send any header. So a router is believed only where there is one, and of
//! what it passes on only the last word, which is its own; `Forwarded` is never read.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap};
use actix_web::http::{Method, StatusCode};
use slipway_config::{Router, ServerSettings};
use slipway_core::Network;
use slipway_ingest::{Browser, By, Caller};

use crate::app::State;
use crate::error::ApiError;

/// Paths that a platform asks for by any name, to see whether we are well.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// Decides whether a request is looked at: by the name it asks for, by its scheme, and
/// by how many its network has made.
///
/// # Errors
/// Why it is not; a page that was asked for without TLS is sent to where there is some.
pub(crate) fn admit(request: &HttpRequest, state: &State) -> Result<(), ApiError> {
    if PROBES.contains(&request.path()) {
        return Ok(());
    }
    let settings = &state.settings.server;
    let host = host(request.headers());
    if !settings.hosts.is_empty() && !host.is_some_and(|host| is_listed(host, &settings.hosts)) {
        return Err(ApiError::wrong_host());
    }
    if state.settings.sessions.secure_cookies && scheme(request, settings) == Some("http") {
        return Err(without_tls(request, host));
    }
    state.limits.admit(network(request, settings))
}

/// Whether the request came over TLS as far as the router.
pub(crate) fn is_secure(request: &HttpRequest, settings: &ServerSettings) -> bool {
    scheme(request, settings) == Some("https")
}

/// The network of whoever asks.
pub(crate) fn network(request: &HttpRequest, settings: &ServerSettings) -> Network {
    let peer = request.peer_addr().map(|peer| peer.ip());
    let told = match settings.router {
        Router::Present => last(request.headers(), "x-forwarded-for").and_then(address),
        Router::None | Router::Auto => None,
    };
    told.or(peer)
        .unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
        .into()
}

/// The browser of whoever asks.
pub(crate) fn browser(request: &HttpRequest, state: &State) -> Browser {
    let agent = request.headers().get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    Browser {
        agent: agent.map(ToOwned::to_owned),
        network: network(request, &state.settings.server),
    }
}

/// A caller, and from where they ask.
pub(crate) fn by(caller: &Caller, request: &HttpRequest, state: &State) -> By {
    By::Caller(caller.clone(), network(request, &state.settings.server))
}

/// The beginning of our own addresses, as whoever asks would write it.
///
/// # Errors
/// When the request does not say by what name it asks for us.
pub(crate) fn origin(request: &HttpRequest, state: &State) -> Result<String, ApiError> {
    let host = host(request.headers()).ok_or_else(ApiError::wrong_host)?;
    // Where cookies need TLS, whoever is signed in has it.
    let secure = state.settings.sessions.secure_cookies;
    let scheme = if secure { "https" } else { "http" };
    Ok(format!("{scheme}://{host}"))
}

fn without_tls(request: &HttpRequest, host: Option<&str>) -> ApiError {
    // Whatever was to be kept secret has been sent in the clear already, and a client
    // that is sent on quietly would do so again.
    let safe = matches!(*request.method(), Method::GET | Method::HEAD);
    let path = request.uri().path_and_query();
    match (safe, host, path) {
        (true, Some(host), Some(path)) => ApiError::elsewhere(
            StatusCode::PERMANENT_REDIRECT,
            &format!("https://{host}{path}"),
        ),
        _ => ApiError::needs_tls(),
    }
}

/// The scheme that the client spoke, if a router says so.
fn scheme<'a>(request: &'a HttpRequest, settings: &ServerSettings) -> Option<&'a str> {
    match settings.router {
        Router::Present => last(request.headers(), "x-forwarded-proto"),
        Router::None | Router::Auto => None,
    }
}

/// The name that is asked for, with its port, if it is said once.
fn host(headers: &HeaderMap) -> Option<&str> {
    let mut hosts = headers.get_all(header::HOST);
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().ok(),
        _ => None,
    }
}

fn is_listed(host: &str, listed: &[String]) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    listed
        .iter()
        .any(|listed| listed.eq_ignore_ascii_case(name))
}

/// The last element of a list that may be spread over several lines (RFC 9110 section
/// 5.3): the one that the router next to us has added.
fn last<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let line = headers.get_all(name).last()?.to_str().ok()?;
    line.rsplit(',').next().map(str::trim)
}

/// An address, as routers write it: some add the port.
fn address(text: &str) -> Option<IpAddr> {
    let with_port = || text.parse::<SocketAddr>().map(|address| address.ip());
    text.parse().or_else(|_| with_port()).ok()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn settings(router: Router) -> ServerSettings {
        ServerSettings {
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            workers: 1,
            allowed_origins: Vec::new(),
            hosts: vec!["files.example.com".to_owned(), "[::1]".to_owned()],
            router,
            requests_per_second: 0,
        }
    }

    fn from(headers: &[(&'static str, &'static str)], router: Router) -> String {
        let mut request = TestRequest::get().peer_addr(([198, 51, 100, 7], 4000).into());
        for header in headers {
            request = request.append_header(*header);
        }
        network(&request.to_http_request(), &settings(router)).to_string()
    }

    #[test]
    fn only_the_routers_own_word_says_who_asks() {
        let (peer, told) = ("198.51.100.0/24", "203.0.113.0/24");
        for (headers, network) in [
            (&[("X-Forwarded-For", "203.0.113.9")][..], told),
            (&[("X-Forwarded-For", "10.9.9.9, 203.0.113.9")], told),
            (&[("X-Forwarded-For", "10.9.9.9,203.0.113.9:5123")], told),
            (
                &[
                    ("X-Forwarded-For", "10.9.9.9"),
                    ("X-Forwarded-For", "203.0.113.9"),
                ],
                told,
            ),
            (
                &[
                    ("Forwarded", "for=10.9.9.9"),
                    ("X-Forwarded-For", "203.0.113.9"),
                ],
                told,
            ),
            (&[("Forwarded", "for=10.9.9.9")], peer),
            (&[("X-Real-IP", "10.9.9.9")], peer),
            (&[("X-Forwarded-For", "203.0.113.9, unknown")], peer),
            (&[("X-Forwarded-For", "")], peer),
            (&[], peer),
        ] {
            assert_eq!(from(headers, Router::Present), network, "{headers:?}");
            assert_eq!(from(headers, Router::None), peer, "{headers:?}");
        }
    }

    #[test]
    fn only_a_router_says_by_what_scheme() {
        let secure = |value: &'static str, router: Router| {
            let request = TestRequest::get().insert_header(("X-Forwarded-Proto", value));
            is_secure(&request.to_http_request(), &settings(router))
        };

        assert!(secure("https", Router::Present) && secure("http, https", Router::Present));
        assert!(!secure("https, http", Router::Present) && !secure("https", Router::None));
    }

    #[test]
    fn a_name_is_listed_whatever_its_port_and_case() {
        let hosts = settings(Router::None).hosts;
        for (name, listed) in [
            ("files.example.com", true),
            ("FILES.example.com:8443", true),
            ("[::1]:8080", true),
            ("[::1]", true),
            ("files.example.com.", false),
            ("files.example.com.evil.example", false),
            ("evil.example", false),
            ("files.example.com@evil.example", false),
            ("", false),
        ] {
            assert_eq!(is_listed(name, &hosts), listed, "{name}");
        }
    }
}
