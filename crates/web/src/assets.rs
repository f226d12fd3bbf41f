//! The browser's files, embedded in the binary and never read from a disk.

use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, web};

use crate::error::ApiError;

/// One embedded file.
pub(crate) struct Asset {
    name: &'static str,
    media_type: &'static str,
    plain: &'static [u8],
    gzip: &'static [u8],
}

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// `GET /assets/{fingerprint}/{name}`.
pub(crate) async fn asset(
    request: HttpRequest,
    path: web::Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    let (fingerprint, name) = path.into_inner();
    // The folder of another release is not this one's: a page that was loaded
    // before a deploy must reload, not mix.
    let current = FOLDER.ends_with(&format!("/{fingerprint}"));
    let asset = ASSETS.iter().find(|asset| current && asset.name == name);
    let asset = asset.ok_or_else(ApiError::no_such_page)?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, asset.media_type))
        .insert_header((header::VARY, "Accept-Encoding"))
        // The name changes with the content, so a copy is good for ever.
        .insert_header((header::CACHE_CONTROL, "public, max-age=31536000, immutable"));
    if takes_gzip(&request) {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
        return Ok(response.body(asset.gzip));
    }
    Ok(response.body(asset.plain))
}

fn takes_gzip(request: &HttpRequest) -> bool {
    let accepted = request.headers().get(header::ACCEPT_ENCODING);
    accepted
        .and_then(|value| value.to_str().ok())
        .is_some_and(|value| {
            value.split(',').any(|coding| {
                let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
                name.trim().eq_ignore_ascii_case("gzip") && weight.trim() != "q=0"
            })
        })
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn compression_is_used_where_it_is_welcome() {
        for (accepted, takes) in [
            ("gzip, deflate, br", true),
            ("br;q=1.0, gzip;q=0.8", true),
            ("gzip;q=0", false),
            ("br", false),
        ] {
            let request = TestRequest::default()
                .insert_header(("Accept-Encoding", accepted))
                .to_http_request();
            assert_eq!(takes_gzip(&request), takes, "{accepted}");
        }
    }
}
