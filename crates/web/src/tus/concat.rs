//! `Upload-Concat`: a part, or a file that is put together from parts.
//!
//! It never resolves a part: a part is named by the key of its upload, and what is
//! no key names nothing, whatever path it spells.

use crate::error::ApiError;

/// Where uploads are, in addresses of parts.
const FOLDER: &str = "/files/";

/// What a file is in a concatenation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Concat {
    /// A part.
    Partial,
    /// Put together from the uploads of these keys, in this order.
    Final {
        /// As it came.
        raw: String,
        /// The keys, not checked yet; at least one.
        keys: Vec<String>,
    },
}

impl Concat {
    /// Reads `partial`, or `final;` and addresses with spaces between, absolute or
    /// relative (tus 1.0.0, "Upload-Concat").
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        if text == "partial" {
            return Ok(Self::Partial);
        }
        let Some(addresses) = text.strip_prefix("final;") else {
            return Err(invalid(
                "it is neither \"partial\" nor \"final;\" and addresses",
            ));
        };
        let addresses = addresses.split(' ').filter(|address| !address.is_empty());
        let keys: Option<Vec<String>> = addresses.map(key).collect();
        match keys {
            None => Err(invalid("an address is not one of an upload here")),
            Some(keys) if keys.is_empty() => Err(invalid("no part is named")),
            Some(keys) => Ok(Self::Final {
                raw: text.to_owned(),
                keys,
            }),
        }
    }

    /// As it came.
    pub(crate) fn raw(&self) -> &str {
        match self {
            Self::Partial => "partial",
            Self::Final { raw, .. } => raw,
        }
    }
}

/// The last part of an address below [`FOLDER`]. The host is not compared: a proxy
/// may call us by another name, and a key of elsewhere opens nothing here.
fn key(address: &str) -> Option<String> {
    let path = match address
        .strip_prefix("https://")
        .or_else(|| address.strip_prefix("http://"))
    {
        Some(rest) => rest.find('/').map(|slash| &rest[slash..])?,
        None => address,
    };
    let key = path.strip_prefix(FOLDER)?;
    let sound = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (!key.is_empty() && key.bytes().all(sound)).then(|| key.to_owned())
}

pub(crate) fn invalid(reason: &str) -> ApiError {
    ApiError::bad_request(
        "upload_concat",
        format!("the header Upload-Concat cannot be read: {reason}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Concat, &'static str> {
        Concat::parse(text).map_err(|error| error.code)
    }

    #[test]
    fn parts_are_named_by_their_keys_wherever_the_address_begins() {
        let text = "final;/files/a.b https://files.example.com/files/c.d /files/a.b";

        let Concat::Final { raw, keys } = parse(text).unwrap() else {
            panic!("not final")
        };

        assert_eq!(raw, text);
        assert_eq!(keys, ["a.b", "c.d", "a.b"]);
    }

    #[test]
    fn what_leads_anywhere_else_is_refused() {
        for text in [
            "",
            "Partial",
            "final",
            "final;",
            "final; ",
            "final;/files/",
            "final;/files/../etc/passwd",
            "final;/files/..%2Fetc",
            "final;/files/a.b/../../c",
            "final;../files/a.b",
            "final;/etc/passwd",
            "final;https://files.example.com",
            "final;https:///",
            "final;/files/a.b?x=y",
            "final;file:///files/a.b",
        ] {
            assert_eq!(parse(text), Err("upload_concat"), "{text}");
        }
    }
}
