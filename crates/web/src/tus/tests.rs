//! Headers of every kind, read without a server.

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

fn announced(pairs: &[(&'static str, &str)]) -> Result<Option<u64>, &'static str> {
    match announcement(&headers(pairs)) {
        Ok(announcement) => Ok(announcement.length.map(ByteCount::to_u64)),
        Err(error) => Err(error.code),
    }
}

#[test]
fn a_file_is_announced_with_its_size_or_without_it_and_never_with_both() {
    let length = |text| ("upload-length", text);
    let deferred = |text| ("upload-defer-length", text);
    for (pairs, said) in [
        (&[length("5")][..], Ok(Some(5))),
        (&[deferred("1")], Ok(None)),
        (&[], Err("upload_length")),
        (&[length("5"), deferred("1")], Err("upload_length")),
        (&[deferred("0")], Err("upload_length")),
        (&[deferred("true")], Err("upload_length")),
        (&[length("+5")], Err("not_a_number")),
        (&[length("5 ")], Err("not_a_number")),
        (&[length("1e3")], Err("not_a_number")),
        (&[("upload-concat", "final;/files/a.b")], Ok(None)),
        (
            &[("upload-concat", "final;/files/a.b"), length("5")],
            Err("upload_length"),
        ),
        (&[("upload-concat", "partial")], Err("upload_length")),
        (&[("upload-concat", "partial"), length("5")], Ok(Some(5))),
    ] {
        assert_eq!(announced(pairs), said, "{pairs:?}");
    }
}

#[test]
fn a_body_counts_when_it_has_bytes_and_then_its_type_must_be_right() {
    let length = ("upload-length", "5");
    let kind = ("content-type", "application/offset+octet-stream");
    let body = |pairs: &[(&'static str, &str)]| {
        let read = announcement(&headers(pairs));
        read.map(|read| read.body.map(|body| body.length))
            .map_err(|error| error.code)
    };

    assert_eq!(body(&[length]), Ok(None));
    let empty = [
        length,
        ("content-type", "text/plain"),
        ("content-length", "0"),
    ];
    assert_eq!(body(&empty), Ok(None), "clients set a type by default");
    assert_eq!(
        body(&[length, kind, ("content-length", "3")]),
        Ok(Some(Some(3)))
    );
    assert_eq!(
        body(&[length, kind, ("transfer-encoding", "chunked")]),
        Ok(Some(None))
    );
    assert_eq!(
        body(&[length, ("content-length", "3")]),
        Err("content_type")
    );
}

#[test]
fn a_date_is_spelt_as_headers_spell_it() {
    let at = OffsetDateTime::from_unix_timestamp(784_111_777).unwrap();

    assert_eq!(date(at), "Sun, 06 Nov 1994 08:49:37 GMT");
}

#[test]
fn metadata_beyond_the_cap_is_refused() {
    let long = "x".repeat(HEADER_BYTES_MAX + 1);

    let refused = announced(&[("upload-length", "1"), ("upload-metadata", &long)]);

    assert_eq!(refused, Err("upload_metadata"));
}

fn value() -> impl Strategy<Value = HeaderValue> {
    let meaningful = "(final;|partial|sha1 |crc32c |/files/|https?://|\\.\\./|%2e|=|,| |[a-zA-Z0-9+/.]|-|\\?1|:){0,40}";
    any::header_value(meaningful)
}

fn any_headers() -> impl Strategy<Value = HeaderMap> {
    let names = [
        UPLOAD_OFFSET,
        UPLOAD_LENGTH,
        UPLOAD_DEFER_LENGTH,
        UPLOAD_METADATA,
        UPLOAD_CONCAT,
        checksum::UPLOAD_CHECKSUM,
        TUS_RESUMABLE,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::TRANSFER_ENCODING,
    ];
    any::headers(names, value())
}

proptest! {
    #[test]
    fn whatever_the_headers_are_they_are_read_or_refused(headers in any_headers()) {
        if let Err(error) = require_version(&headers) {
            prop_assert_eq!(error.status, StatusCode::PRECONDITION_FAILED);
        }
        for error in [announcement(&headers).err(), chunk_start(&headers).err()]
            .into_iter()
            .flatten()
        {
            prop_assert!(error.status.is_client_error());
        }
    }

    #[test]
    fn what_is_read_as_metadata_comes_back_as_it_came(value in value()) {
        let Ok(text) = value.to_str() else { return Ok(()) };
        if let Ok(metadata) = Metadata::parse(text) {
            prop_assert_eq!(metadata.raw, text);
        }
    }

    #[test]
    fn what_is_read_as_a_part_is_never_a_path(value in value()) {
        let Ok(text) = value.to_str() else { return Ok(()) };
        if let Ok(Concat::Final { keys, .. }) = Concat::parse(text) {
            for key in keys {
                prop_assert!(!key.contains(['/', '\\', '%', ':']));
            }
        }
    }
}
