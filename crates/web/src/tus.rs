//! The headers of tus 1.0.0, read once and turned into types.
//!
//! It never answers a request; what it refuses is an [`ApiError`] of its own.

use std::collections::HashSet;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName};
use actix_web::{FromRequest, HttpRequest};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use slipway_core::ByteCount;

use crate::error::ApiError;

/// The one version that is spoken.
pub(crate) const TUS_VERSION: &str = "1.0.0";

/// What is spoken beyond the core.
pub(crate) const TUS_EXTENSIONS: &str = "creation,termination";

pub(crate) const TUS_RESUMABLE: HeaderName = HeaderName::from_static("tus-resumable");
pub(crate) const UPLOAD_OFFSET: HeaderName = HeaderName::from_static("upload-offset");
pub(crate) const UPLOAD_LENGTH: HeaderName = HeaderName::from_static("upload-length");
pub(crate) const UPLOAD_METADATA: HeaderName = HeaderName::from_static("upload-metadata");

/// Bytes of `Upload-Metadata` that are kept: the router in front of us takes no
/// longer header line.
const METADATA_BYTES_MAX: usize = 8192;

/// Proof that the client speaks tus 1.0.0.
pub(crate) struct Tus;

/// Where the bytes of a `PATCH` start, and that they are announced as such.
pub(crate) struct ChunkStart {
    pub(crate) offset: ByteCount,
    /// The size of the body, if the client said it.
    pub(crate) length: Option<u64>,
}

/// What a `POST` announces.
pub(crate) struct Announcement {
    pub(crate) length: ByteCount,
    pub(crate) metadata: Metadata,
}

/// The `Upload-Metadata` header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metadata {
    /// As it came.
    pub(crate) raw: String,
    /// Its value `filename`, or `name`.
    pub(crate) name: Option<String>,
    /// Its value `filetype`, or `type`.
    pub(crate) media_type: Option<String>,
}

impl FromRequest for Tus {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let version = request.headers().get(TUS_RESUMABLE);
        ready(match version.map(|value| value.as_bytes()) {
            Some(version) if version == TUS_VERSION.as_bytes() => Ok(Self),
            _ => Err(ApiError::tus_version()),
        })
    }
}

impl FromRequest for ChunkStart {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(chunk_start(request))
    }
}

impl FromRequest for Announcement {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(announcement(request))
    }
}

fn chunk_start(request: &HttpRequest) -> Result<ChunkStart, ApiError> {
    let media_type = request
        .headers()
        .get(header::CONTENT_TYPE)
        .map(|value| value.as_bytes());
    if media_type != Some(b"application/offset+octet-stream") {
        return Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type",
            "send the header \"Content-Type: application/offset+octet-stream\"",
        ));
    }
    let offset = number(request, &UPLOAD_OFFSET)?.ok_or_else(|| {
        ApiError::bad_request(
            "upload_offset",
            "send the header Upload-Offset: where these bytes start",
        )
    })?;
    let length = number(request, &header::CONTENT_LENGTH)?.map(ByteCount::to_u64);
    Ok(ChunkStart { offset, length })
}

fn announcement(request: &HttpRequest) -> Result<Announcement, ApiError> {
    let length = number(request, &UPLOAD_LENGTH)?.ok_or_else(|| {
        ApiError::bad_request(
            "upload_length",
            "send the header Upload-Length: the size of the file",
        )
    })?;
    let metadata = match request.headers().get(UPLOAD_METADATA) {
        None => Metadata::default(),
        Some(value) => {
            let text = value
                .to_str()
                .or(Err(invalid_metadata("it is not ASCII")))?;
            Metadata::parse(text)?
        }
    };
    Ok(Announcement { length, metadata })
}

fn number(request: &HttpRequest, name: &HeaderName) -> Result<Option<ByteCount>, ApiError> {
    let Some(value) = request.headers().get(name) else {
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

impl Metadata {
    /// Reads comma-separated pairs of a key and a base64 value; a value may be
    /// missing, and so may everything (tus 1.0.0, "Upload-Metadata").
    fn parse(text: &str) -> Result<Self, ApiError> {
        if text.len() > METADATA_BYTES_MAX {
            return Err(invalid_metadata("it is longer than 8192 bytes"));
        }
        let mut metadata = Self {
            raw: text.to_owned(),
            ..Self::default()
        };
        let mut keys = HashSet::new();
        for pair in text
            .split(',')
            .map(str::trim)
            .filter(|pair| !pair.is_empty())
        {
            let (key, value) = pair.split_once(' ').unwrap_or((pair, ""));
            if !keys.insert(key) {
                return Err(invalid_metadata("a key stands there twice"));
            }
            let value = STANDARD
                .decode(value.trim())
                .or(Err(invalid_metadata("a value is not base64")))?;
            // Values may be any bytes; those we use are names for people.
            let text = || Some(String::from_utf8_lossy(&value).into_owned());
            match key {
                "filename" => metadata.name = text(),
                "filetype" => metadata.media_type = text(),
                "name" if metadata.name.is_none() => metadata.name = text(),
                "type" if metadata.media_type.is_none() => metadata.media_type = text(),
                _ => {}
            }
        }
        Ok(metadata)
    }
}

fn invalid_metadata(reason: &str) -> ApiError {
    ApiError::bad_request(
        "upload_metadata",
        format!("the header Upload-Metadata cannot be read: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Metadata, &'static str> {
        Metadata::parse(text).map_err(|error| error.code)
    }

    #[test]
    fn name_and_type_are_found() {
        let metadata =
            parse("filename YS5jc3Y=,filetype dGV4dC9jc3Y=,relativePath,x AAE=").unwrap();

        assert_eq!(metadata.name.as_deref(), Some("a.csv"));
        assert_eq!(metadata.media_type.as_deref(), Some("text/csv"));
        assert!(metadata.raw.starts_with("filename "));
    }

    #[test]
    fn the_more_usual_key_wins_wherever_it_stands() {
        for text in ["name eA==,filename YQ==", "filename YQ==,name eA=="] {
            assert_eq!(parse(text).unwrap().name.as_deref(), Some("a"), "{text}");
        }
    }

    #[test]
    fn no_metadata_is_fine() {
        assert_eq!(parse("").unwrap().name, None);
        assert_eq!(parse(" ").unwrap().name, None);
    }

    #[test]
    fn what_cannot_be_read_is_refused() {
        let long = "x".repeat(METADATA_BYTES_MAX + 1);
        for text in ["filename !!", "a YQ==,a YQ==", "filename YQ", &long] {
            assert_eq!(parse(text), Err("upload_metadata"));
        }
    }

    #[test]
    fn a_name_that_is_not_utf_8_is_still_a_name() {
        assert_eq!(
            parse("filename /w==").unwrap().name.as_deref(),
            Some("\u{FFFD}")
        );
    }
}
