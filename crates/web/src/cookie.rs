//! The cookie of a session.
//!
//! It holds a random token and nothing else, and no script can read it.

use actix_web::HttpRequest;
use actix_web::cookie::{Cookie, SameSite};
use slipway_config::SessionSettings;
use slipway_ingest::Token;

/// With the prefix, a browser takes the cookie only over TLS, for this host and
/// for every path (RFC 6265bis section 4.1.3.2).
const NAME_SECURE: &str = "__Host-slipway";

/// Where there is no TLS, the prefix would make browsers drop the cookie.
const NAME_PLAIN: &str = "slipway";

/// The token in a request's cookie.
pub(crate) fn token(request: &HttpRequest, settings: &SessionSettings) -> Option<Token> {
    request
        .cookie(name(settings))
        .map(|cookie| Token::shown(cookie.value()))
}

/// A cookie that signs a browser in.
pub(crate) fn signed_in(token: &Token, settings: &SessionSettings) -> Cookie<'static> {
    let lifetime = i64::try_from(settings.absolute.as_secs()).unwrap_or(i64::MAX);
    cookie(token.expose().to_owned(), settings, lifetime)
}

/// A cookie that takes the other away.
pub(crate) fn signed_out(settings: &SessionSettings) -> Cookie<'static> {
    cookie(String::new(), settings, 0)
}

fn cookie(value: String, settings: &SessionSettings, seconds: i64) -> Cookie<'static> {
    Cookie::build(name(settings), value)
        .path("/")
        .http_only(true)
        .secure(settings.secure_cookies)
        // A link from elsewhere may open a page signed in; anything that changes
        // something proves its origin besides.
        .same_site(SameSite::Lax)
        .max_age(time::Duration::seconds(seconds))
        .finish()
}

fn name(settings: &SessionSettings) -> &'static str {
    if settings.secure_cookies {
        NAME_SECURE
    } else {
        NAME_PLAIN
    }
}
