//! Whether a request was made by a page of ours.
//!
//! Browsers attach cookies to requests that other sites cause. Whatever a cookie
//! authorises and that changes something, a WebSocket included, must come from
//! our own origin. No path is exempt, and a request that does not say where it
//! comes from is refused.

use actix_web::HttpRequest;
use actix_web::http::{Method, header};

/// Whether a request that bears a cookie needs to prove its origin.
pub(crate) fn needs_proof(request: &HttpRequest) -> bool {
    let safe = matches!(
        *request.method(),
        Method::GET | Method::HEAD | Method::OPTIONS
    );
    !safe || request.headers().contains_key(header::UPGRADE)
}

/// Whether the browser says that a page of ours made the request: by
/// `Sec-Fetch-Site` (Fetch Metadata, section 2.3), or, in browsers without it and
/// on WebSocket upgrades, by `Origin` (RFC 6454 section 7).
pub(crate) fn is_proven(request: &HttpRequest) -> bool {
    let text = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|value| value.to_str().unwrap_or("?"))
    };
    match text("sec-fetch-site") {
        Some("same-origin") => true,
        Some(_) => false,
        None => match (text("origin"), text("host")) {
            (Some(origin), Some(host)) => is_origin_of(origin, host),
            _ => false,
        },
    }
}

/// Whether `origin` is a page of `host`. The scheme is not compared: behind a
/// router that ends TLS we cannot see it, and another scheme on the same host and
/// port is the same server.
fn is_origin_of(origin: &str, host: &str) -> bool {
    origin
        .strip_prefix("https://")
        .or_else(|| origin.strip_prefix("http://"))
        .is_some_and(|origin| origin.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn proven(headers: &[(&'static str, &'static str)]) -> bool {
        let mut request = TestRequest::post().insert_header(("Host", "files.example.com"));
        for header in headers {
            request = request.insert_header(*header);
        }
        is_proven(&request.to_http_request())
    }

    #[test]
    fn only_our_own_pages_are_proven() {
        for (headers, expected) in [
            (&[("Sec-Fetch-Site", "same-origin")][..], true),
            (&[("Sec-Fetch-Site", "same-site")], false),
            (&[("Sec-Fetch-Site", "cross-site")], false),
            (&[("Sec-Fetch-Site", "none")], false),
            (&[("Origin", "https://files.example.com")], true),
            (
                &[("Origin", "https://files.example.com.evil.example.com")],
                false,
            ),
            (&[("Origin", "https://evil.example.com")], false),
            (&[("Origin", "null")], false),
            (&[], false),
            (
                &[
                    ("Sec-Fetch-Site", "cross-site"),
                    ("Origin", "https://files.example.com"),
                ],
                false,
            ),
        ] {
            assert_eq!(proven(headers), expected, "{headers:?}");
        }
    }

    #[test]
    fn reading_needs_no_proof_and_a_websocket_does() {
        let get = TestRequest::get().to_http_request();
        assert!(!needs_proof(&get));

        let upgrade = TestRequest::get()
            .insert_header(("Upgrade", "websocket"))
            .to_http_request();
        assert!(needs_proof(&upgrade));
        assert!(needs_proof(&TestRequest::patch().to_http_request()));
    }
}
