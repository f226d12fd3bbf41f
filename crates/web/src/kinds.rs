//! Which kinds of files a browser may show, and which it may only save.
//!
//! It never trusts a sender: the kind is the one that the inspection found in the
//! bytes, and whatever is not in the list below is saved as bytes without a kind.

/// How a file is handed to a browser.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Handed {
    /// The value of `Content-Type`.
    pub(crate) content_type: &'static str,
    /// Whether the browser may show it.
    pub(crate) shown: bool,
}

/// Kinds that hold no script and run none: no HTML, no SVG, no XML, no PDF. Text is
/// shown as plain text, whatever language it is written in.
const SHOWN: [(&str, &str); 16] = [
    ("image/png", "image/png"),
    ("image/jpeg", "image/jpeg"),
    ("image/gif", "image/gif"),
    ("image/webp", "image/webp"),
    ("image/avif", "image/avif"),
    ("image/bmp", "image/bmp"),
    ("audio/mpeg", "audio/mpeg"),
    ("audio/ogg", "audio/ogg"),
    ("audio/x-wav", "audio/wav"),
    ("audio/x-flac", "audio/flac"),
    ("audio/m4a", "audio/mp4"),
    ("video/mp4", "video/mp4"),
    ("video/webm", "video/webm"),
    ("text/plain", "text/plain; charset=utf-8"),
    ("text/csv", "text/plain; charset=utf-8"),
    ("application/json", "text/plain; charset=utf-8"),
];

/// How to hand over a file of the kind that was found in it; `None` while nobody
/// has looked.
pub(crate) fn handed(found: Option<&str>) -> Handed {
    let shown = SHOWN.iter().find(|(kind, _)| Some(*kind) == found);
    match shown {
        Some((_, content_type)) => Handed {
            content_type,
            shown: true,
        },
        None => Handed {
            content_type: "application/octet-stream",
            shown: false,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_hold_a_script_is_only_saved() {
        for kind in [
            "text/html",
            "image/svg+xml",
            "text/xml",
            "application/xml",
            "application/pdf",
            "text/javascript",
            "application/octet-stream",
            "IMAGE/PNG",
            "image/png; x=y",
            "",
        ] {
            let handed = handed(Some(kind));
            assert!(!handed.shown, "{kind}");
            assert_eq!(handed.content_type, "application/octet-stream", "{kind}");
        }
        assert!(!handed(None).shown);
        assert!(handed(Some("image/png")).shown);
    }
}
