//! What a client says it has already: the conditions of a download
//! (RFC 9110 section 13), judged in the order of section 13.2.2.
//!
//! It never looks at dates: every file has a tag that is the hash of its bytes,
//! which says more than any date could.

use actix_web::http::header::{HeaderMap, HeaderName, IF_MATCH, IF_NONE_MATCH, IF_RANGE, RANGE};

/// What the conditions of a request come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged {
    /// Answer it.
    Go,
    /// The client has these very bytes (304).
    Unchanged,
    /// The client wants other bytes than these (412).
    Changed,
}

/// Judges the conditions of a `GET` or `HEAD` for the file with this tag, quotes
/// included.
pub(crate) fn judged(headers: &HeaderMap, tag: &str) -> Judged {
    if headers.contains_key(IF_MATCH) && !names(headers, &IF_MATCH, tag, Comparison::Strong) {
        return Judged::Changed;
    }
    if names(headers, &IF_NONE_MATCH, tag, Comparison::Weak) {
        return Judged::Unchanged;
    }
    Judged::Go
}

/// The `Range` header, if there is one and the client's earlier part, if it says
/// which it has (`If-Range`, section 13.1.5), is of these bytes. A date says
/// nothing here, so that with one the whole file is sent.
pub(crate) fn range<'a>(headers: &'a HeaderMap, tag: &str) -> Option<&'a str> {
    let same = headers
        .get(IF_RANGE)
        .is_none_or(|value| value.as_bytes().trim_ascii() == tag.as_bytes());
    let range = headers.get(RANGE).filter(|_| same)?;
    range.to_str().ok()
}

/// How two tags are compared (section 8.8.3.2).
#[derive(Clone, Copy)]
enum Comparison {
    Strong,
    Weak,
}

/// Whether a header with a list of tags, or `*`, names this one.
fn names(headers: &HeaderMap, header: &HeaderName, tag: &str, comparison: Comparison) -> bool {
    headers
        .get_all(header)
        .filter_map(|value| value.to_str().ok())
        // Our tags hold no comma, so one that does is none of ours.
        .flat_map(|list| list.split(','))
        .map(str::trim)
        .any(|given| {
            let given = match comparison {
                Comparison::Strong => given,
                Comparison::Weak => given.strip_prefix("W/").unwrap_or(given),
            };
            given == tag || given == "*"
        })
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    const TAG: &str = "\"abc\"";

    fn headers(pairs: &[(HeaderName, &'static str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn conditions_are_judged_by_the_tag() {
        for (pairs, expected) in [
            (&[][..], Judged::Go),
            (&[(IF_NONE_MATCH, TAG)], Judged::Unchanged),
            (&[(IF_NONE_MATCH, "W/\"abc\"")], Judged::Unchanged),
            (&[(IF_NONE_MATCH, "\"x\", \"abc\"")], Judged::Unchanged),
            (
                &[(IF_NONE_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)],
                Judged::Unchanged,
            ),
            (&[(IF_NONE_MATCH, "*")], Judged::Unchanged),
            (&[(IF_NONE_MATCH, "abc")], Judged::Go),
            (&[(IF_MATCH, TAG)], Judged::Go),
            (&[(IF_MATCH, "*")], Judged::Go),
            (&[(IF_MATCH, "\"x\"")], Judged::Changed),
            (&[(IF_MATCH, "W/\"abc\"")], Judged::Changed),
            (
                &[(IF_MATCH, "\"x\""), (IF_NONE_MATCH, TAG)],
                Judged::Changed,
            ),
        ] {
            assert_eq!(judged(&headers(pairs), TAG), expected, "{pairs:?}");
        }
    }

    #[test]
    fn a_range_counts_only_for_the_same_bytes() {
        for (pairs, expected) in [
            (&[(RANGE, "bytes=1-")][..], Some("bytes=1-")),
            (&[(RANGE, "bytes=1-"), (IF_RANGE, TAG)], Some("bytes=1-")),
            (&[(RANGE, "bytes=1-"), (IF_RANGE, "\"x\"")], None),
            (&[(RANGE, "bytes=1-"), (IF_RANGE, "W/\"abc\"")], None),
            (
                &[
                    (RANGE, "bytes=1-"),
                    (IF_RANGE, "Sun, 22 Nov 2026 10:00:00 GMT"),
                ],
                None,
            ),
            (&[], None),
        ] {
            assert_eq!(range(&headers(pairs), TAG), expected, "{pairs:?}");
        }
    }
}
