//! Downloading: whole and in parts, under conditions, and never as something that a
//! browser would run.

use anyhow::{Context, Result};
use bytes::Bytes;
use reqwest::{Client, Method, Response, StatusCode};
use slipway_tests::{Site, Tus, Who, random_bytes, sha256};

use crate::{metadata, settled};

/// Two whole chunks and some bytes of a third.
const FILE_BYTES: usize = 2 * 1024 * 1024 + 345;

struct Stored {
    site: Site,
    who: Who,
    file: Bytes,
    url: String,
}

impl Stored {
    async fn of(file: Bytes, name: &str, kind: &str) -> Result<Self> {
        let site = Site::start()?;
        let who = site.who("dev@example.com", "member")?;
        let upload = Tus::create(&site.url(), &who, file.len(), &metadata(name, kind)).await?;
        upload.patch(0, file.clone()).await?.error_for_status()?;
        settled(&site, &who, upload.id()).await?;
        let url = format!("{}/api/v1/uploads/{}/content", site.url(), upload.id());
        Ok(Self {
            site,
            who,
            file,
            url,
        })
    }

    async fn ask(&self, method: Method, headers: &[(&str, &str)]) -> Result<Response> {
        let mut request = Client::new()
            .request(method, &self.url)
            .bearer_auth(&self.who.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.send().await?)
    }

    async fn range(&self, range: &str) -> Result<Response> {
        self.ask(Method::GET, &[("Range", range)]).await
    }

    fn tag(&self) -> String {
        format!("\"{}\"", sha256(&self.file))
    }
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default()
}

#[tokio::test]
async fn a_part_of_a_file_is_sent_alone_wherever_it_lies() -> Result<()> {
    let stored = Stored::of(random_bytes(FILE_BYTES, 1), "a.bin", "x/y").await?;
    let mib = 1024 * 1024;

    for (start, end) in [
        (0, 1),
        (mib - 1, mib + 1),
        (mib, 2 * mib),
        (5, FILE_BYTES),
        (FILE_BYTES - 1, FILE_BYTES),
    ] {
        let answer = stored.range(&format!("bytes={start}-{}", end - 1)).await?;

        assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
        let expected = format!("bytes {start}-{}/{FILE_BYTES}", end - 1);
        assert_eq!(header(&answer, "content-range"), expected);
        assert_eq!(header(&answer, "etag"), stored.tag());
        assert_eq!(header(&answer, "content-length"), (end - start).to_string());
        assert_eq!(answer.bytes().await?, stored.file.slice(start..end));
    }
    Ok(())
}

#[tokio::test]
async fn several_parts_come_each_under_its_own_head() -> Result<()> {
    let stored = Stored::of(random_bytes(FILE_BYTES, 2), "a.bin", "x/y").await?;

    let answer = stored.range("bytes=1048570-1048580,0-9,-5").await?;

    assert_eq!(answer.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(header(&answer, "content-range"), "");
    let boundary = header(&answer, "content-type")
        .strip_prefix("multipart/byteranges; boundary=")
        .context("no boundary")?
        .to_owned();
    let announced: usize = header(&answer, "content-length").parse()?;
    let body = answer.bytes().await?;
    assert_eq!(body.len(), announced);
    let mut expected = Vec::new();
    for (start, end) in [
        (0, 10),
        (1_048_570, 1_048_581),
        (FILE_BYTES - 5, FILE_BYTES),
    ] {
        if start > 0 {
            expected.extend_from_slice(b"\r\n");
        }
        let head = format!(
            "--{boundary}\r\nContent-Type: application/octet-stream\r\n\
             Content-Range: bytes {start}-{}/{FILE_BYTES}\r\n\r\n",
            end - 1
        );
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&stored.file[start..end]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert_eq!(body, expected);
    Ok(())
}

#[tokio::test]
async fn more_parts_than_are_served_are_the_whole_file() -> Result<()> {
    let stored = Stored::of(random_bytes(50_000, 3), "a.bin", "x/y").await?;
    let range = |count: usize| {
        let parts: Vec<String> = (0..count).map(|at| format!("{0}-{0}", at * 1000)).collect();
        format!("bytes={}", parts.join(","))
    };

    let few = stored.range(&range(16)).await?;
    let many = stored.range(&range(17)).await?;

    assert_eq!(few.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(many.status(), StatusCode::OK);
    assert_eq!(many.bytes().await?, stored.file);
    Ok(())
}

#[tokio::test]
async fn nothing_behind_the_end_is_sent_and_the_size_is_told() -> Result<()> {
    let stored = Stored::of(random_bytes(1000, 4), "a.bin", "x/y").await?;

    let answer = stored.range("bytes=1000-").await?;

    assert_eq!(answer.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(header(&answer, "content-range"), "bytes */1000");
    assert_eq!(header(&answer, "content-type"), "application/problem+json");
    Ok(())
}

#[tokio::test]
async fn what_a_client_has_already_is_not_sent_again() -> Result<()> {
    let stored = Stored::of(random_bytes(1000, 5), "a.bin", "x/y").await?;
    let tag = stored.tag();
    let other = "\"0000\"";

    for (headers, status) in [
        (&[("If-None-Match", tag.as_str())][..], 304),
        (&[("If-None-Match", other)], 200),
        (&[("If-Match", tag.as_str())], 200),
        (&[("If-Match", other)], 412),
        (&[("Range", "bytes=0-9"), ("If-Range", tag.as_str())], 206),
        (&[("Range", "bytes=0-9"), ("If-Range", other)], 200),
        (
            &[("Range", "bytes=0-9"), ("If-None-Match", tag.as_str())],
            304,
        ),
        (&[("Range", "bytes=2000-"), ("If-Match", other)], 412),
    ] {
        let answer = stored.ask(Method::GET, headers).await?;
        assert_eq!(answer.status().as_u16(), status, "{headers:?}");
        assert_eq!(header(&answer, "etag"), tag, "{headers:?}");
        let length = answer.bytes().await?.len();
        match status {
            200 => assert_eq!(length, 1000, "{headers:?}"),
            206 => assert_eq!(length, 10, "{headers:?}"),
            304 => assert_eq!(length, 0, "{headers:?}"),
            _ => {}
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_head_of_a_download_says_what_the_download_would() -> Result<()> {
    let stored = Stored::of(random_bytes(1000, 6), "a.bin", "x/y").await?;

    let get = stored.ask(Method::GET, &[]).await?;
    let head = stored.ask(Method::HEAD, &[("Range", "bytes=0-9")]).await?;

    assert_eq!(head.status(), StatusCode::OK);
    for name in [
        "content-length",
        "content-type",
        "content-disposition",
        "content-security-policy",
        "etag",
        "accept-ranges",
        "cache-control",
        "x-content-type-options",
    ] {
        assert_ne!(header(&head, name), "", "{name}");
        assert_eq!(header(&head, name), header(&get, name), "{name}");
    }
    assert_eq!(header(&head, "cache-control"), "private, no-cache");
    assert_eq!(header(&head, "accept-ranges"), "bytes");
    assert!(head.bytes().await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn an_empty_file_is_sent_whole_whatever_is_asked_for() -> Result<()> {
    let stored = Stored::of(Bytes::new(), "empty", "text/plain").await?;

    for range in ["bytes=0-", "bytes=-5", "bytes=0-0,5-9"] {
        let answer = stored.range(range).await?;
        assert_eq!(answer.status(), StatusCode::OK, "{range}");
        assert!(answer.bytes().await?.is_empty(), "{range}");
    }
    Ok(())
}

#[tokio::test]
async fn only_harmless_kinds_are_shown_and_only_in_a_sandbox() -> Result<()> {
    let png = Bytes::from_static(b"\x89PNG\r\n\x1a\n0000IHDR");
    let html = Bytes::from_static(b"<!doctype html><script>alert(1)</script>");
    for (file, name, announced, kind, disposition) in [
        (png, "p.png", "text/html", "image/png", "inline"),
        (
            html,
            "evil.html",
            "text/html",
            "application/octet-stream",
            "attachment",
        ),
        (
            Bytes::from_static(b"<svg xmlns='http://www.w3.org/2000/svg'/>"),
            "s.svg",
            "image/svg+xml",
            "text/plain; charset=utf-8",
            "inline",
        ),
        (
            Bytes::from_static(b"a,b\n1,2\n"),
            "naïve \"t\".csv",
            "text/csv",
            "text/plain; charset=utf-8",
            "inline",
        ),
    ] {
        let stored = Stored::of(file, name, announced).await?;
        let answer = stored.ask(Method::GET, &[]).await?;

        assert_eq!(header(&answer, "content-type"), kind, "{name}");
        let given = header(&answer, "content-disposition");
        assert!(given.starts_with(disposition), "{name}: {given}");
        assert!(given.contains("filename*=UTF-8''"), "{name}: {given}");
        assert!(
            header(&answer, "content-security-policy").starts_with("sandbox; default-src 'none'"),
            "{name}"
        );
        assert_eq!(header(&answer, "x-content-type-options"), "nosniff");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_is_nobody_elses_to_download_by_any_range_or_tag() -> Result<()> {
    let stored = Stored::of(random_bytes(1000, 7), "a.bin", "x/y").await?;
    let stranger = stored.site.who("other@example.com", "member")?;
    let tag = stored.tag();

    for headers in [
        &[][..],
        &[("Range", "bytes=0-0")],
        &[("If-None-Match", tag.as_str())],
        &[("If-Match", "\"x\"")],
    ] {
        let mut request = Client::new().get(&stored.url).bearer_auth(&stranger.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let answer = request.send().await?;
        assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{headers:?}");
        assert_eq!(header(&answer, "etag"), "", "{headers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_crowd_of_slow_readers_gets_every_byte_with_little_memory() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__UPLOADS__IN_FLIGHT_BYTES_MAX", "1048576")])?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(FILE_BYTES, 8);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    upload.patch(0, file.clone()).await?.error_for_status()?;
    let url = format!("{}/api/v1/uploads/{}/content", site.url(), upload.id());
    let mut answers = Vec::new();
    for _ in 0..12 {
        let answer = Client::new().get(&url).bearer_auth(&who.token).send();
        answers.push(answer.await?.error_for_status()?);
    }

    // Nobody has read a byte yet; the last who came is the first to read.
    for answer in answers.into_iter().rev() {
        assert_eq!(answer.bytes().await?, file);
    }
    Ok(())
}
