//! Cross-origin requests to `/files` (Fetch standard, "CORS protocol").
//!
//! Errors carry the same headers as answers: without them a page of another origin
//! cannot tell a refusal from a broken network. Cookies are never allowed with
//! them; a page of another origin shows a token or a key.

use actix_web::HttpRequest;
use actix_web::http::header::{self, HeaderMap, HeaderValue};

/// What a page may send.
const METHODS: &str = "POST, HEAD, PATCH, DELETE, OPTIONS, GET";
const REQUEST_HEADERS: &str = "Authorization, Content-Type, Content-Disposition, Content-Digest, Repr-Digest, \
     Want-Repr-Digest, Tus-Resumable, Upload-Checksum, Upload-Complete, Upload-Concat, Upload-Defer-Length, \
     Upload-Draft-Interop-Version, Upload-Incomplete, Upload-Length, Upload-Metadata, Upload-Offset, \
     X-HTTP-Method-Override, X-Request-Id, X-Requested-With";

/// What a page may read.
const RESPONSE_HEADERS: &str = "Content-Location, Location, Repr-Digest, Retry-After, Tus-Checksum-Algorithm, \
     Tus-Extension, Tus-Max-Size, Tus-Resumable, Tus-Version, Upload-Complete, Upload-Concat, \
     Upload-Defer-Length, Upload-Draft-Interop-Version, Upload-Expires, Upload-Incomplete, Upload-Length, \
     Upload-Limit, Upload-Metadata, Upload-Offset, X-Request-Id";

/// Seconds for which a browser may remember the answer to a preflight: what
/// Chromium takes at most.
const MAX_AGE: &str = "7200";

/// Adds what a page of another origin needs to read the answer to `request`.
pub(crate) fn add_headers(request: &HttpRequest, allowed: &[String], headers: &mut HeaderMap) {
    // Caches must not give one origin what another was answered.
    headers.append(header::VARY, HeaderValue::from_static("Origin"));
    let Some(origin) = request.headers().get(header::ORIGIN) else {
        return;
    };
    let Some(allow) = allow(origin, allowed) else {
        return;
    };
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, allow);
    let mut insert = |name, value| headers.insert(name, HeaderValue::from_static(value));
    insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, RESPONSE_HEADERS);
    if request
        .headers()
        .contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
    {
        insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        insert(header::ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
        insert(header::ACCESS_CONTROL_MAX_AGE, MAX_AGE);
    }
}

/// The origin that is allowed: every one by `*`, else those that are listed.
fn allow(origin: &HeaderValue, allowed: &[String]) -> Option<HeaderValue> {
    if allowed.iter().any(|allowed| allowed == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let listed = allowed
        .iter()
        .any(|allowed| allowed.as_bytes().eq_ignore_ascii_case(origin.as_bytes()));
    listed.then(|| origin.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_allowed_when_it_is_listed_or_all_are() {
        let answered = |origin: &'static str, allowed: &[&str]| {
            let allowed: Vec<String> = allowed.iter().map(|text| (*text).to_owned()).collect();
            allow(&HeaderValue::from_static(origin), &allowed)
        };
        let ours = "https://pages.example.com";

        assert_eq!(
            answered(ours, &[ours]),
            Some(HeaderValue::from_static(ours))
        );
        assert_eq!(
            answered("null", &["*"]),
            Some(HeaderValue::from_static("*"))
        );
        for (origin, allowed) in [
            (ours, &[][..]),
            ("https://pages.example.com.evil.example", &[ours]),
            ("http://pages.example.com", &[ours]),
            ("null", &[ours]),
        ] {
            assert_eq!(answered(origin, allowed), None, "{origin}");
        }
    }
}
