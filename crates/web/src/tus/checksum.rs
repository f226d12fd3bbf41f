//! `Upload-Checksum`: what the bytes of a request must hash to.
//!
//! It never hashes; it reads what a client declares.

use actix_web::http::header::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use slipway_ingest::{Algorithm, Expected};

use crate::error::ApiError;

pub(super) const UPLOAD_CHECKSUM: HeaderName = HeaderName::from_static("upload-checksum");

/// What `Tus-Checksum-Algorithm` lists.
pub(crate) const TUS_CHECKSUM_ALGORITHMS: &str = "sha1,sha256,md5,crc32c";

/// Reads an algorithm, a space and a digest in base64 (tus 1.0.0, "Upload-Checksum").
pub(super) fn read(headers: &HeaderMap) -> Result<Option<Expected>, ApiError> {
    let Some(value) = headers.get(UPLOAD_CHECKSUM) else {
        return Ok(None);
    };
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    let Some((algorithm, digest)) = parts else {
        return Err(refuse("it is no algorithm, space and digest"));
    };
    let algorithm = match algorithm {
        "sha1" => Algorithm::Sha1,
        "sha256" => Algorithm::Sha256,
        "md5" => Algorithm::Md5,
        "crc32c" => Algorithm::Crc32c,
        _ => {
            let reason = format!("the algorithm is none of {TUS_CHECKSUM_ALGORITHMS}");
            return Err(refuse(&reason));
        }
    };
    let digest = STANDARD.decode(digest).ok();
    let expected = digest.and_then(|digest| Expected::new(algorithm, digest));
    expected
        .map(Some)
        .ok_or_else(|| refuse("the digest is not of that algorithm in base64"))
}

fn refuse(reason: &str) -> ApiError {
    ApiError::bad_request(
        "upload_checksum",
        format!("the header Upload-Checksum cannot be read: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    #[test]
    fn a_checksum_is_an_algorithm_that_is_listed_and_its_digest() {
        for (text, read_well) in [
            ("sha1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", true),
            ("md5 kAFQmDzST7DWlj99KOF/cg==", true),
            ("crc32c Nks/tw==", true),
            ("SHA1 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", false),
            ("sha512 qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", false),
            ("sha1 kAFQmDzST7DWlj99KOF/cg==", false),
            ("sha1  qZk+NkcGgWq6PiVxeFDCbJzQ2J0=", false),
            ("sha1", false),
            ("sha1 ", false),
            ("", false),
            (" ", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(UPLOAD_CHECKSUM, HeaderValue::from_static(text));
            assert_eq!(read(&headers).is_ok(), read_well, "{text:?}");
        }
    }
}
