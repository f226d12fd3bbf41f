//! How a downloaded file is named, whatever its owner called it.
//!
//! The name never reaches the header as it is: non-ASCII is percent-encoded, and
//! the plain form for old clients has nothing left that could end a quote.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// Everything but `attr-char` (RFC 8187 section 3.2.1).
const NOT_ATTR_CHAR: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'%')
    .add(b'\'')
    .add(b'(')
    .add(b')')
    .add(b'*')
    .add(b',')
    .add(b'/')
    .add(b':')
    .add(b';')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'?')
    .add(b'@')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'{')
    .add(b'}');

/// The value of `Content-Disposition` that saves a file under `name`
/// (RFC 6266 section 4).
pub(crate) fn attachment(name: &str) -> String {
    value("attachment", name)
}

/// The value of `Content-Disposition` that shows a file, and saves it under `name`
/// should somebody save it.
pub(crate) fn inline(name: &str) -> String {
    value("inline", name)
}

fn value(kind: &str, name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| {
            if (' '..='~').contains(&c) && !matches!(c, '"' | '\\' | '%') {
                c
            } else {
                '_'
            }
        })
        .collect();
    let extended = utf8_percent_encode(name, NOT_ATTR_CHAR);
    format!("{kind}; filename=\"{plain}\"; filename*=UTF-8''{extended}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_stay_within_their_quotes() {
        for (name, header) in [
            (
                "a.csv",
                "attachment; filename=\"a.csv\"; filename*=UTF-8''a.csv",
            ),
            (
                "say \"hi\"; x=y.txt",
                "attachment; filename=\"say _hi_; x=y.txt\"; filename*=UTF-8''say%20%22hi%22%3B%20x%3Dy.txt",
            ),
            (
                "naïve 🚢.bin",
                "attachment; filename=\"na_ve _.bin\"; filename*=UTF-8''na%C3%AFve%20%F0%9F%9A%A2.bin",
            ),
        ] {
            assert_eq!(attachment(name), header);
        }
    }
}
