//! The headers of tus 1.0.0, read once and turned into types.
//!
//! It never answers a request; what it refuses is an [`ApiError`] of its own.

mod checksum;
mod concat;
mod metadata;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use slipway_core::ByteCount;
use slipway_ingest::Expected;
use time::OffsetDateTime;

use crate::error::ApiError;

pub(crate) use checksum::TUS_CHECKSUM_ALGORITHMS;
pub(crate) use concat::{Concat, invalid as invalid_concat};
pub(crate) use metadata::Metadata;

/// The one version that is spoken.
pub(crate) const TUS_VERSION: &str = "1.0.0";

/// What is spoken beyond the core. `checksum-trailer` is not: actix-http reads the
/// trailers of a chunked body to find its end and throws them away
/// (`ChunkedState::Trailer` in `h1/chunked.rs` of its 3.20).
pub(crate) const TUS_EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,\
     expiration,checksum,termination,concatenation,concatenation-unfinished";

pub(crate) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const UPLOAD_DEFER_LENGTH: HeaderName = HeaderName::from_static("upload-defer-length");
pub(crate) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");
pub(crate) const UPLOAD_CONCAT: HeaderName = HeaderName::from_static("upload-concat");
pub(crate) const UPLOAD_EXPIRES: HeaderName = HeaderName::from_static("upload-expires");

/// The type of the bytes of a `PATCH`, and of a `POST` that brings some.
const CHUNK_TYPE: &[u8] = b"application/offset+octet-stream";

/// Bytes of `Upload-Metadata` and `Upload-Concat` that are kept: the router in
/// front of us takes no longer header line.
const HEADER_BYTES_MAX: usize = 8192;

/// Where the bytes of a `PATCH` start, and what else it says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ChunkStart {
    pub(crate) offset: ByteCount,
    /// The size of the body, if the client said it.
    pub(crate) length: Option<u64>,
    /// The size of the file, where it was deferred and is said now.
    pub(crate) total: Option<ByteCount>,
    /// What the bytes must hash to.
    pub(crate) expected: Option<Expected>,
}

/// What a `POST` announces.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Announcement {
    /// The size of the file; `None` while it is deferred.
    pub(crate) length: Option<ByteCount>,
    pub(crate) metadata: Metadata,
    pub(crate) concat: Option<Concat>,
    /// The size of a body that brings the first bytes; `None` if there is no body.
    pub(crate) body: Option<Body>,
}

/// A body that brings bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Body {
    /// Its size, if the client said it.
    pub(crate) length: Option<u64>,
    /// What it must hash to.
    pub(crate) expected: Option<Expected>,
}

/// Whether the request speaks tus, well or badly.
pub(crate) fn is_spoken(headers: &HeaderMap) -> bool {
    headers.contains_key(TUS_RESUMABLE)
}

/// Refuses everything that does not speak tus 1.0.0.
pub(crate) fn require_version(headers: &HeaderMap) -> Result<(), ApiError> {
    match headers.get(TUS_RESUMABLE).map(HeaderValue::as_bytes) {
        Some(version) if version == TUS_VERSION.as_bytes() => Ok(()),
        _ => Err(ApiError::tus_version()),
    }
}

/// Reads the headers of a `PATCH` (tus 1.0.0, "PATCH" and "Upload-Defer-Length").
pub(crate) fn chunk_start(headers: &HeaderMap) -> Result<ChunkStart, ApiError> {
    if !is_chunk(headers) {
        return Err(wrong_type());
    }
    let offset = number(headers, &UPLOAD_OFFSET)?.ok_or_else(|| {
        ApiError::bad_request(
            "upload_offset",
            "send the header Upload-Offset: where these bytes start",
        )
    })?;
    Ok(ChunkStart {
        offset,
        length: number(headers, &header::CONTENT_LENGTH)?.map(ByteCount::to_u64),
        total: number(headers, &UPLOAD_LENGTH)?,
        expected: checksum::read(headers)?,
    })
}

/// Reads the headers of a `POST` (tus 1.0.0, "Creation" and what extends it).
pub(crate) fn announcement(headers: &HeaderMap) -> Result<Announcement, ApiError> {
    let concat = bounded(headers, &UPLOAD_CONCAT, "upload_concat")?
        .map(Concat::parse)
        .transpose()?;
    let metadata = bounded(headers, &UPLOAD_METADATA, "upload_metadata")?
        .map(Metadata::parse)
        .transpose()?
        .unwrap_or_default();
    let body = body(headers)?;
    let is_final = matches!(concat, Some(Concat::Final { .. }));
    if is_final && body.is_some() {
        return Err(ApiError::bad_request(
            "upload_concat",
            "a final upload is put together from others and takes no bytes",
        ));
    }
    if body.is_some() && !is_chunk(headers) {
        return Err(wrong_type());
    }
    Ok(Announcement {
        length: announced_length(headers, is_final)?,
        metadata,
        concat,
        body,
    })
}

/// The size that is announced, which a final upload has from its parts.
fn announced_length(headers: &HeaderMap, is_final: bool) -> Result<Option<ByteCount>, ApiError> {
    let refuse = |detail: &str| Err(ApiError::bad_request("upload_length", detail));
    let length = number(headers, &UPLOAD_LENGTH)?;
    let deferred = headers.get(UPLOAD_DEFER_LENGTH);
    if deferred.is_some_and(|value| value.as_bytes() != b"1") {
        return refuse("the header Upload-Defer-Length can only be 1");
    }
    match (length, deferred, is_final) {
        (None, None, true) => Ok(None),
        (_, _, true) => refuse("the size of a final upload is that of its parts; do not send one"),
        (Some(_), Some(_), _) => refuse("send Upload-Length or Upload-Defer-Length, not both"),
        (None, None, _) => {
            refuse("send the header Upload-Length: the size of the file, or Upload-Defer-Length: 1")
        }
        (length, _, _) => Ok(length),
    }
}

fn body(headers: &HeaderMap) -> Result<Option<Body>, ApiError> {
    let length = number(headers, &header::CONTENT_LENGTH)?.map(ByteCount::to_u64);
    let expected = checksum::read(headers)?;
    let is_there = match length {
        Some(length) => length > 0,
        None => headers.contains_key(header::TRANSFER_ENCODING),
    };
    Ok(is_there.then_some(Body { length, expected }))
}

fn is_chunk(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes) == Some(CHUNK_TYPE)
}

fn wrong_type() -> ApiError {
    ApiError::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content_type",
        "send the header \"Content-Type: application/offset+octet-stream\"",
    )
}

/// A number of bytes: decimal digits and nothing else.
fn number(headers: &HeaderMap, name: &HeaderName) -> Result<Option<ByteCount>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let number = value.to_str().ok().and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| {
        ApiError::bad_request(
            "not_a_number",
            format!("the header {name} is not a number of bytes"),
        )
    })
}

/// A header of ASCII that is kept as it came.
fn bounded<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    code: &'static str,
) -> Result<Option<&'a str>, ApiError> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    let refuse = |reason: &str| {
        let detail = format!("the header {name} cannot be read: {reason}");
        Err(ApiError::bad_request(code, detail))
    };
    match value.to_str() {
        Err(_) => refuse("it is not ASCII"),
        Ok(text) if text.len() > HEADER_BYTES_MAX => refuse("it is longer than 8192 bytes"),
        Ok(text) => Ok(Some(text)),
    }
}

/// An instant as headers spell it (RFC 9110 section 5.6.7).
pub(crate) fn date(at: OffsetDateTime) -> String {
    header::HttpDate::from(std::time::SystemTime::from(at)).to_string()
}

#[cfg(test)]
mod tests;
