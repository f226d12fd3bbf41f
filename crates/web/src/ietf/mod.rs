//! The headers of the IETF draft for resumable uploads
//! (draft-ietf-httpbis-resumable-upload), read once and turned into types.
//!
//! It never answers a request. A field that is not of the form the draft gives it
//! is ignored, as the draft asks, and so counts as missing.
//!
//! The draft counts changes that break clients by an interop version; 8 is spoken,
//! and what differs down to 3 is little: `Upload-Incomplete` instead of
//! `Upload-Complete` in 3, no media type for appended bytes before 6. Interim
//! responses (104) are optional and not sent: actix-web has no call for them.

mod digest;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, ContentDisposition, HeaderMap, HeaderName, HeaderValue};
use slipway_core::ByteCount;
use slipway_ingest::Expected;
use time::OffsetDateTime;

use crate::error::ApiError;
use crate::tus::{UPLOAD_LENGTH, UPLOAD_OFFSET};

pub(crate) use digest::{
    REPR_DIGEST, content_digest, expected_file, repr_digest, wants_repr_digest,
};

pub(crate) const UPLOAD_COMPLETE: HeaderName = HeaderName::from_static("upload-complete");
pub(crate) const UPLOAD_INCOMPLETE: HeaderName = HeaderName::from_static("upload-incomplete");
pub(crate) const UPLOAD_LIMIT: HeaderName = HeaderName::from_static("upload-limit");
pub(crate) const INTEROP_VERSION: HeaderName =
    HeaderName::from_static("upload-draft-interop-version");

/// The type of appended bytes.
pub(crate) const PARTIAL_TYPE: &str = "application/partial-upload";

/// The interop versions that are spoken.
const INTEROP_OLDEST: u8 = 3;
const INTEROP_NEWEST: u8 = 8;

/// The first version in which appended bytes have a type of their own.
const INTEROP_WITH_TYPE: u8 = 6;

/// The last version in which completeness was spelt the other way round.
const INTEROP_INVERTED: u8 = 3;

/// How a client speaks the draft.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Dialect {
    /// As it says itself; the final protocol has no such header.
    version: Option<u8>,
}

/// What a request creates.
#[derive(Debug)]
pub(crate) struct Creation {
    /// Whether the body is the rest of the file.
    pub(crate) complete: bool,
    /// The size of the file, as far as it can be told.
    pub(crate) length: Option<ByteCount>,
    /// The size of the body, if the client said it.
    pub(crate) body: Option<u64>,
    /// From `Content-Digest`.
    pub(crate) expected: Option<Expected>,
    /// From `Content-Disposition`.
    pub(crate) name: Option<String>,
    /// From `Content-Type`.
    pub(crate) media_type: Option<String>,
}

/// What a request appends.
#[derive(Debug)]
pub(crate) struct Append {
    pub(crate) offset: ByteCount,
    /// Whether the body is the rest of the file.
    pub(crate) complete: bool,
    /// The size of the file, if it is said.
    pub(crate) length: Option<ByteCount>,
    /// The size of the body, if the client said it.
    pub(crate) body: Option<u64>,
    /// From `Content-Digest`.
    pub(crate) expected: Option<Expected>,
}

impl Dialect {
    /// How a request speaks the draft; `None` if it does not.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let said = text(headers, &INTEROP_VERSION).and_then(|text| text.trim().parse().ok());
        let version = said.filter(|version| (INTEROP_OLDEST..=INTEROP_NEWEST).contains(version));
        let dialect = Self { version };
        (version.is_some() || dialect.complete(headers).is_some()).then_some(dialect)
    }

    /// Of a client that says nothing: the newest.
    pub(crate) fn newest() -> Self {
        Self { version: None }
    }

    /// Whether the client says that its bytes are the last.
    fn complete(self, headers: &HeaderMap) -> Option<bool> {
        if self.is_inverted() {
            return boolean(headers, &UPLOAD_INCOMPLETE).map(|incomplete| !incomplete);
        }
        boolean(headers, &UPLOAD_COMPLETE)
    }

    /// Completeness as this client reads it.
    pub(crate) fn completeness(self, complete: bool) -> (HeaderName, &'static str) {
        let spelt = |value| if value { "?1" } else { "?0" };
        if self.is_inverted() {
            (UPLOAD_INCOMPLETE, spelt(!complete))
        } else {
            (UPLOAD_COMPLETE, spelt(complete))
        }
    }

    /// The version to answer with: that of the client, if it said one.
    pub(crate) fn version(self) -> Option<HeaderValue> {
        self.version
            .map(|version| HeaderValue::from(u16::from(version)))
    }

    fn is_inverted(self) -> bool {
        self.version == Some(INTEROP_INVERTED)
    }

    /// Reads the headers of a creation ("Upload Creation").
    pub(crate) fn creation(self, headers: &HeaderMap) -> Result<Creation, ApiError> {
        let complete = self.complete(headers).ok_or_else(no_completeness)?;
        let body = content_length(headers);
        let length = match (integer(headers, &UPLOAD_LENGTH), body.filter(|_| complete)) {
            (Some(said), Some(body)) if said.to_u64() != body => {
                return Err(inconsistent_length(
                    "Upload-Length and Content-Length differ, though the upload is complete",
                ));
            }
            (Some(said), _) => Some(said),
            (None, Some(body)) => ByteCount::try_from(body).ok(),
            (None, None) => None,
        };
        Ok(Creation {
            complete,
            length,
            body,
            expected: content_digest(headers)?,
            name: file_name(headers),
            media_type: text(headers, &header::CONTENT_TYPE).map(ToOwned::to_owned),
        })
    }

    /// Reads the headers of a `PATCH` ("Upload Append").
    pub(crate) fn append(self, headers: &HeaderMap) -> Result<Append, ApiError> {
        let typed = self
            .version
            .is_none_or(|version| version >= INTEROP_WITH_TYPE);
        if typed && text(headers, &header::CONTENT_TYPE) != Some(PARTIAL_TYPE) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "content_type",
                "send the header \"Content-Type: application/partial-upload\"",
            ));
        }
        let offset = integer(headers, &UPLOAD_OFFSET).ok_or_else(|| {
            ApiError::bad_request(
                "upload_offset",
                "send the header Upload-Offset: where these bytes start",
            )
        })?;
        Ok(Append {
            offset,
            complete: self.complete(headers).ok_or_else(no_completeness)?,
            length: integer(headers, &UPLOAD_LENGTH),
            body: content_length(headers),
            expected: content_digest(headers)?,
        })
    }
}

/// The `Upload-Limit` of an upload that may grow to `max` and waits until then.
pub(crate) fn limit(max: ByteCount, expires_at: Option<OffsetDateTime>) -> String {
    let left = expires_at.map(|at| at - OffsetDateTime::now_utc());
    let age = left.map(|left| format!(", max-age={}", left.whole_seconds().max(0)));
    format!("max-size={max}, min-size=0{}", age.unwrap_or_default())
}

pub(crate) fn inconsistent_length(detail: &str) -> ApiError {
    ApiError::bad_request("inconsistent_upload_length", detail)
        .of_type("https://iana.org/assignments/http-problem-types#inconsistent-upload-length")
}

fn no_completeness() -> ApiError {
    ApiError::bad_request(
        "upload_complete",
        "send the header \"Upload-Complete: ?1\" with the last bytes, else ?0",
    )
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn content_length(headers: &HeaderMap) -> Option<u64> {
    text(headers, &header::CONTENT_LENGTH)?.parse().ok()
}

/// What a file is called by the client (RFC 6266).
fn file_name(headers: &HeaderMap) -> Option<String> {
    let disposition = headers.get(header::CONTENT_DISPOSITION)?;
    let disposition = ContentDisposition::from_raw(disposition).ok()?;
    let extended = disposition.get_filename_ext();
    extended
        .map(|name| String::from_utf8_lossy(&name.value).into_owned())
        .or_else(|| disposition.get_filename().map(ToOwned::to_owned))
}

/// A Boolean (RFC 9651 section 3.3.6); parameters have no meaning here.
fn boolean(headers: &HeaderMap, name: &HeaderName) -> Option<bool> {
    match item(headers, name)? {
        "?1" => Some(true),
        "?0" => Some(false),
        _ => None,
    }
}

/// A non-negative Integer (RFC 9651 section 3.3.1): at most 15 digits.
fn integer(headers: &HeaderMap, name: &HeaderName) -> Option<ByteCount> {
    let digits = item(headers, name)?;
    (digits.len() <= 15).then(|| digits.parse().ok())?
}

/// The bare item of a field that stands there once, parameters cut off.
fn item<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut values = headers.get_all(name);
    let value = values.next()?.to_str().ok()?;
    if values.next().is_some() {
        return None;
    }
    let bare = value.split(';').next().unwrap_or(value);
    Some(bare.trim_matches(' '))
}

#[cfg(test)]
mod tests;
