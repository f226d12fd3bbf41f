//! `Upload-Metadata`: what a sender says about a file.
//!
//! It never believes what it reads: values are names for people, nothing more.

use std::collections::HashSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use slipway_core::Sha256Digest;

use crate::error::ApiError;

/// The `Upload-Metadata` header.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Metadata {
    /// As it came.
    pub(crate) raw: String,
    /// Its value `filename`, or `name`.
    pub(crate) name: Option<String>,
    /// Its value `filetype`, or `type`.
    pub(crate) media_type: Option<String>,
    /// Its value `sha256`: what the whole file must hash to.
    pub(crate) sha256: Option<Sha256Digest>,
}

impl Metadata {
    /// Reads comma-separated pairs of a key and a base64 value; a value may be
    /// missing, and so may everything (tus 1.0.0, "Upload-Metadata").
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
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
                "sha256" => metadata.sha256 = Some(sha256(&value)?),
                "type" if metadata.media_type.is_none() => metadata.media_type = text(),
                _ => {}
            }
        }
        Ok(metadata)
    }
}

/// A hash as 64 hexadecimal digits, which is how tools print it.
fn sha256(value: &[u8]) -> Result<Sha256Digest, ApiError> {
    let invalid = || invalid_metadata("its sha256 is not 64 hexadecimal digits");
    let text = str::from_utf8(value).or(Err(invalid()))?;
    text.parse().or(Err(invalid()))
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
        for text in ["filename !!", "a YQ==,a YQ==", "filename YQ", "a YQ== YQ=="] {
            assert_eq!(parse(text), Err("upload_metadata"));
        }
    }

    #[test]
    fn a_hash_is_read_as_tools_print_it() {
        let hex = "00FF".repeat(16);
        let text = format!("sha256 {}", STANDARD.encode(&hex));
        let digest = parse(&text).unwrap().sha256.unwrap();
        assert_eq!(digest.to_string(), hex.to_lowercase());

        for value in ["", "00ff", &"0g".repeat(32), &"00".repeat(33)] {
            let text = format!("sha256 {}", STANDARD.encode(value));
            assert_eq!(parse(&text), Err("upload_metadata"), "{value}");
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
