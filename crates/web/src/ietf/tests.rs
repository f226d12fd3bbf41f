//! Headers of the draft, read without a server.

use proptest::prelude::*;

use super::*;
use crate::any;

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let value = HeaderValue::from_str(value).unwrap();
        headers.append(HeaderName::from_static(name), value);
    }
    headers
}

#[test]
fn a_request_speaks_the_draft_by_its_completeness_or_by_a_version_that_is_spoken() {
    let version = |text| ("upload-draft-interop-version", text);
    for (pairs, spoken) in [
        (&[("upload-complete", "?1")][..], true),
        (&[("upload-complete", "?0;comment=1")], true),
        (&[("upload-complete", "1")], false),
        (
            &[("upload-complete", "?1"), ("upload-complete", "?0")],
            false,
        ),
        (&[("upload-incomplete", "?1")], false),
        (&[version("3"), ("upload-incomplete", "?1")], true),
        (&[version("8")], true),
        (&[version("2")], false),
        (&[version("9")], false),
        (&[], false),
    ] {
        assert_eq!(Dialect::of(&headers(pairs)).is_some(), spoken, "{pairs:?}");
    }
}

#[test]
fn the_oldest_version_says_it_the_other_way_round() {
    let old = headers(&[
        ("upload-draft-interop-version", "3"),
        ("upload-incomplete", "?1"),
    ]);
    let dialect = Dialect::of(&old).unwrap();

    assert!(!dialect.creation(&old).unwrap().complete);
    assert_eq!(dialect.completeness(true), (UPLOAD_INCOMPLETE, "?0"));
    assert_eq!(
        Dialect::newest().completeness(true),
        (UPLOAD_COMPLETE, "?1")
    );
}

#[test]
fn a_size_is_taken_from_the_length_or_from_a_body_that_is_all() {
    let length = |pairs: &[(&'static str, &str)]| {
        let created = Dialect::newest().creation(&headers(pairs));
        created
            .map(|created| created.length.map(ByteCount::to_u64))
            .map_err(|error| error.code)
    };
    let (all, some) = (("upload-complete", "?1"), ("upload-complete", "?0"));
    let body = ("content-length", "5");
    for (pairs, expected) in [
        (&[all, body][..], Ok(Some(5))),
        (&[some, body], Ok(None)),
        (&[some, body, ("upload-length", "9")], Ok(Some(9))),
        (&[all, body, ("upload-length", "5")], Ok(Some(5))),
        (
            &[all, body, ("upload-length", "9")],
            Err("inconsistent_upload_length"),
        ),
        (&[all, ("upload-length", "1234567890123456")], Ok(None)),
        (&[all, ("upload-length", "-1")], Ok(None)),
        (&[body], Err("upload_complete")),
    ] {
        assert_eq!(length(pairs), expected, "{pairs:?}");
    }
}

#[test]
fn appended_bytes_have_their_type_in_the_versions_that_know_it() {
    let append = |pairs: &[(&'static str, &str)]| {
        let headers = headers(pairs);
        let dialect = Dialect::of(&headers).unwrap();
        dialect
            .append(&headers)
            .map(|_| ())
            .map_err(|error| error.code)
    };
    let (complete, offset) = (("upload-complete", "?1"), ("upload-offset", "3"));
    let kind = ("content-type", PARTIAL_TYPE);

    assert_eq!(append(&[complete, offset, kind]), Ok(()));
    assert_eq!(append(&[complete, offset]), Err("content_type"));
    assert_eq!(
        append(&[complete, offset, ("upload-draft-interop-version", "5")]),
        Ok(())
    );
    assert_eq!(append(&[complete, kind]), Err("upload_offset"));
    assert_eq!(
        append(&[complete, kind, ("upload-offset", "+3")]),
        Err("upload_offset")
    );
}

#[test]
fn names_come_from_the_disposition() {
    for (text, name) in [
        ("inline; filename=\"a b.csv\"", Some("a b.csv")),
        (
            "inline; filename=\"x\"; filename*=UTF-8''na%C3%AFve.csv",
            Some("naïve.csv"),
        ),
        ("inline", None),
        ("\"", None),
    ] {
        let named = file_name(&headers(&[("content-disposition", text)]));
        assert_eq!(named.as_deref(), name, "{text}");
    }
}

#[test]
fn digests_are_read_the_strongest_first_and_unknown_ones_are_ignored() {
    let zeros = |length: usize| {
        use base64::Engine;
        let text = base64::engine::general_purpose::STANDARD.encode(vec![0; length]);
        format!(":{text}:")
    };
    let digest = |text: &str| {
        let read = content_digest(&headers(&[("content-digest", text)]));
        read.map(|read| read.is_some()).map_err(|error| error.code)
    };
    let (short, long) = (zeros(32), zeros(64));

    assert_eq!(digest(&format!("sha-256={short}")), Ok(true));
    let both = format!("sha-256={short}, sha-512={long}");
    assert_eq!(digest(&both), Ok(true));
    let weaker_is_wrong = format!("sha-256=:AAAA:, sha-512={long}");
    assert_eq!(digest(&weaker_is_wrong), Ok(true));
    assert_eq!(digest("md5=:AAAA:, unixsum=3"), Ok(false));
    assert_eq!(digest("sha-256=:AAAA:"), Err("digest"));
    assert_eq!(digest("sha-256=AAAA"), Err("digest"));
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let meaningful = "(\\?[01]|;|=|,|:|\"|sha-256|sha-512|inline|filename\\*?=|UTF-8''|%[0-9a-f]{2}|[0-9]|[ a-zA-Z+/]){0,30}";
    any::header_value(meaningful)
}

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let names = [
        UPLOAD_COMPLETE,
        UPLOAD_INCOMPLETE,
        INTEROP_VERSION,
        UPLOAD_OFFSET,
        UPLOAD_LENGTH,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_DISPOSITION,
        digest::CONTENT_DIGEST,
        REPR_DIGEST,
        digest::WANT_REPR_DIGEST,
    ];
    any::headers(names, value())
}

proptest! {
    #[test]
    fn whatever_the_headers_are_they_are_read_ignored_or_refused(headers in any_headers()) {
        let dialect = Dialect::of(&headers).unwrap_or(Dialect::newest());
        let refusals = [
            dialect.creation(&headers).err(),
            dialect.append(&headers).err(),
        ];
        wants_repr_digest(&headers);
        for error in refusals.into_iter().flatten() {
            prop_assert!(error.status.is_client_error());
        }
    }
}
