//! Digest fields (RFC 9530): of the bytes of a request, and of a whole file.
//!
//! It never hashes; it reads what a client says and spells what is known.

use actix_web::http::header::{HeaderMap, HeaderName};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use slipway_core::Sha256Digest;
use slipway_ingest::{Algorithm, Expected};

use crate::error::ApiError;

pub(crate) const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");
pub(crate) const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
pub(crate) const WANT_REPR_DIGEST: HeaderName = HeaderName::from_static("want-repr-digest");

/// Algorithms that are computed, the strongest first; others are ignored, as
/// RFC 9530 section 2 allows.
const ALGORITHMS: [(&str, Algorithm); 2] = [
    ("sha-512", Algorithm::Sha512),
    ("sha-256", Algorithm::Sha256),
];

/// What the bytes of a request must hash to, by the strongest digest in its
/// `Content-Digest`; `None` if there is none that is computed here.
pub(crate) fn content_digest(headers: &HeaderMap) -> Result<Option<Expected>, ApiError> {
    let members = members(headers, &CONTENT_DIGEST);
    for (name, algorithm) in ALGORITHMS {
        let Some((_, value)) = members.iter().find(|(key, _)| key == name) else {
            continue;
        };
        let digest = byte_sequence(value);
        let expected = digest.and_then(|digest| Expected::new(algorithm, digest));
        return expected.map(Some).ok_or_else(|| {
            let detail = format!("the header Content-Digest cannot be read: its {name} is none");
            ApiError::bad_request("digest", detail)
        });
    }
    Ok(None)
}

/// The SHA-256 of the whole file, as its sender announces it in `Repr-Digest`; other
/// algorithms are ignored, as RFC 9530 section 2 allows.
pub(crate) fn expected_file(headers: &HeaderMap) -> Result<Option<Sha256Digest>, ApiError> {
    let members = members(headers, &REPR_DIGEST);
    let Some((_, value)) = members.iter().find(|(key, _)| key == "sha-256") else {
        return Ok(None);
    };
    let digest = byte_sequence(value).and_then(|bytes| bytes.as_slice().try_into().ok());
    digest.map(Some).ok_or_else(|| {
        let detail = "the header Repr-Digest cannot be read: its sha-256 is none";
        ApiError::bad_request("digest", detail)
    })
}

/// Whether a client asks for the digest of the whole file, in a way we can answer.
pub(crate) fn wants_repr_digest(headers: &HeaderMap) -> bool {
    let wanted = members(headers, &WANT_REPR_DIGEST);
    wanted
        .iter()
        .any(|(key, weight)| key == "sha-256" && weight != "0")
}

/// The `Repr-Digest` of a whole file.
pub(crate) fn repr_digest(sha256: &Sha256Digest) -> String {
    format!("sha-256=:{}:", STANDARD.encode(sha256.as_bytes()))
}

/// The members of a dictionary (RFC 9651 section 3.2) whose values hold no commas:
/// all that digest fields have.
fn members(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, String)> {
    let lines = headers
        .get_all(name)
        .filter_map(|value| value.to_str().ok());
    lines
        .flat_map(|line| line.split(','))
        .filter_map(|member| member.trim().split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A byte sequence (RFC 9651 section 3.3.5), parameters cut off.
fn byte_sequence(value: &str) -> Option<Vec<u8>> {
    let value = value.split(';').next()?.trim();
    let inner = value.strip_prefix(':')?.strip_suffix(':')?;
    STANDARD.decode(inner).ok()
}
