//! Uploading by tus 1.0.0: the rules, and what happens when they are broken.

use anyhow::Result;
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use slipway_tests::{CHUNK_TYPE, Site, Tus, Who, pieces, random_bytes, sha256};

use crate::{eventually, metadata, settled};

/// What is spoken beyond the core of tus.
const EXTENSIONS: &str = "creation,creation-with-upload,creation-defer-length,\
     expiration,checksum,termination,concatenation,concatenation-unfinished";

pub(crate) struct App {
    pub(crate) site: Site,
    pub(crate) who: Who,
    pub(crate) http: Client,
}

pub(crate) fn app() -> Result<App> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    Ok(App {
        site,
        who,
        http: Client::new(),
    })
}

impl App {
    pub(crate) async fn upload_of(&self, length: usize) -> Result<Tus> {
        Tus::create(&self.site.url(), &self.who, length, "").await
    }

    pub(crate) async fn json(&self, path: &str) -> Result<Value> {
        let response = self.http.get(format!("{}{path}", self.site.url()));
        Ok(response
            .bearer_auth(&self.who.token)
            .send()
            .await?
            .error_for_status()?
            .json()
            .await?)
    }

    /// What `GET` of the stored file answers.
    pub(crate) async fn content(&self, upload: &Tus) -> Result<reqwest::Response> {
        let url = format!("{}/api/v1/uploads/{}/content", self.site.url(), upload.id());
        Ok(self
            .http
            .get(url)
            .bearer_auth(&self.who.token)
            .send()
            .await?)
    }

    /// `POST /files/` with some headers: the status and the problem's code.
    pub(crate) async fn announce(&self, headers: &[(&str, &str)]) -> Result<(u16, String)> {
        let mut request = self
            .http
            .post(format!("{}/files/", self.site.url()))
            .bearer_auth(&self.who.token);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        answer(request.send().await?).await
    }
}

/// The status of an answer and the code of its problem, if it has one.
pub(crate) async fn answer(response: reqwest::Response) -> Result<(u16, String)> {
    let status = response.status().as_u16();
    let problem: Value = serde_json::from_slice(&response.bytes().await?).unwrap_or_default();
    let kind = problem["type"].as_str().unwrap_or_default();
    Ok((
        status,
        kind.trim_start_matches("urn:slipway:problem:").to_owned(),
    ))
}

#[tokio::test]
async fn a_file_arrives_whole_is_inspected_and_comes_back_byte_for_byte() -> Result<()> {
    let app = app()?;
    let file = random_bytes(5_000_001, 1);
    let upload = Tus::create(
        &app.site.url(),
        &app.who,
        file.len(),
        &metadata("data.bin", "text/csv"),
    )
    .await?;

    let answer = upload.patch(0, file.clone()).await?;

    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    assert_eq!(answer.headers()["upload-offset"], "5000001");
    let json = settled(&app.site, &app.who, upload.id()).await?;
    assert_eq!(json["state"], "stored");
    assert_eq!(json["name"], "data.bin");
    assert_eq!(json["sha256"], sha256(&file).as_str());
    assert_eq!(json["jobs"][0]["state"], "done");
    assert_eq!(
        json["media_type"], "application/octet-stream",
        "the bytes are no text"
    );
    let content = app.content(&upload).await?;
    assert_eq!(content.headers()["x-content-type-options"], "nosniff");
    assert_eq!(content.headers()["content-length"], "5000001");
    assert!(
        content.headers()["content-disposition"]
            .to_str()?
            .starts_with("attachment")
    );
    assert_eq!(content.bytes().await?, file);
    Ok(())
}

#[tokio::test]
async fn an_empty_file_is_stored_at_once() -> Result<()> {
    let app = app()?;

    let upload = app.upload_of(0).await?;

    let json = settled(&app.site, &app.who, upload.id()).await?;
    assert_eq!(
        (&json["state"], &json["sha256"]),
        (&"stored".into(), &sha256(b"").into())
    );
    assert_eq!(upload.offset().await?, 0);
    let again = upload.patch(0, "").await?;
    assert_eq!(again.status(), StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test]
async fn a_wrong_offset_is_refused_and_nothing_moves() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(11).await?;
    upload.patch(0, "hello").await?.error_for_status()?;

    for offset in [0, 3, 6, 11, 12] {
        let refused = upload.patch(offset, "world").await?;
        assert_eq!(refused.headers()["upload-offset"], "5", "at {offset}");
        assert_eq!(answer(refused).await?, (409, "wrong_offset".to_owned()));
    }

    assert_eq!(upload.offset().await?, 5);
    Ok(())
}

#[tokio::test]
async fn an_announcement_that_breaks_the_rules_is_refused_with_its_reason() -> Result<()> {
    let app = app()?;
    let tus = ("Tus-Resumable", "1.0.0");
    for (headers, status, code) in [
        (&[("Upload-Length", "1")][..], 412, "tus_version"),
        (
            &[("Tus-Resumable", "0.2.2"), ("Upload-Length", "1")],
            412,
            "tus_version",
        ),
        (&[tus], 400, "upload_length"),
        (&[tus, ("Upload-Length", "-1")], 400, "not_a_number"),
        (&[tus, ("Upload-Length", "1e3")], 400, "not_a_number"),
        (
            &[tus, ("Upload-Length", "99999999999999999999")],
            400,
            "not_a_number",
        ),
        (&[tus, ("Upload-Length", "17179869185")], 413, "too_large"),
        (
            &[
                tus,
                ("Upload-Length", "1"),
                ("Upload-Metadata", "filename !"),
            ],
            400,
            "upload_metadata",
        ),
        (
            &[
                tus,
                ("Upload-Length", "1"),
                ("Upload-Metadata", "a YQ==,a YQ=="),
            ],
            400,
            "upload_metadata",
        ),
    ] {
        assert_eq!(
            app.announce(headers).await?,
            (status, code.to_owned()),
            "{headers:?}"
        );
    }
    assert_eq!(
        app.json("/api/v1/uploads").await?["uploads"],
        serde_json::json!([])
    );
    Ok(())
}

#[tokio::test]
async fn bytes_that_break_the_rules_are_refused_with_their_reason() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(5).await?;
    let tus = ("Tus-Resumable", "1.0.0");
    let kind = ("Content-Type", CHUNK_TYPE);
    let offset = ("Upload-Offset", "0");
    for (headers, status, code) in [
        (&[kind, offset][..], 412, "tus_version"),
        (&[tus, offset], 415, "content_type"),
        (
            &[tus, ("Content-Type", "text/plain"), offset],
            415,
            "content_type",
        ),
        (&[tus, kind], 400, "upload_offset"),
        (&[tus, kind, ("Upload-Offset", "zero")], 400, "not_a_number"),
    ] {
        let mut request = app.http.patch(&upload.url).body("hello");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        assert_eq!(
            answer(request.send().await?).await?,
            (status, code.to_owned()),
            "{headers:?}"
        );
    }
    assert_eq!(upload.offset().await?, 0);
    Ok(())
}

#[tokio::test]
async fn a_body_over_the_announced_length_is_refused_and_what_fits_is_kept() -> Result<()> {
    let app = app()?;
    let said = app.upload_of(5).await?;
    let refused = said.patch(0, "too long").await?;
    assert_eq!(answer(refused).await?, (413, "too_long".to_owned()));
    assert_eq!(
        said.offset().await?,
        0,
        "it was refused before a byte was read"
    );

    let unsaid = app.upload_of(5).await?;
    let body = pieces("too long".into(), 3, |_| {});
    let refused = unsaid.patch(0, reqwest::Body::wrap_stream(body)).await?;
    assert_eq!(refused.headers()["upload-offset"], "5");
    assert_eq!(answer(refused).await?, (413, "too_long".to_owned()));
    let json = settled(&app.site, &app.who, unsaid.id()).await?;
    assert_eq!(json["sha256"], sha256(b"too l").as_str());
    Ok(())
}

#[tokio::test]
async fn what_is_not_there_or_was_touched_is_unknown() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(5).await?;
    let (place, key) = upload.url.rsplit_once('/').unwrap();
    let (id, signature) = key.split_once('.').unwrap();
    let other = "01900000-0000-7000-8000-000000000000";
    for key in [
        other.to_owned(),
        format!("{other}.{signature}"),
        id.to_owned(),
        "..%2F..".to_owned(),
    ] {
        let request = app
            .http
            .head(format!("{place}/{key}"))
            .header("Tus-Resumable", "1.0.0");
        assert_eq!(
            request.send().await?.status(),
            StatusCode::NOT_FOUND,
            "{key}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn a_removed_upload_is_gone() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(5).await?;
    upload.patch(0, "he").await?.error_for_status()?;

    let removed = upload.request(Method::DELETE).send().await?;

    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(
        upload.request(Method::HEAD).send().await?.status(),
        StatusCode::GONE
    );
    assert_eq!(upload.patch(2, "llo").await?.status(), StatusCode::GONE);
    assert_eq!(
        upload.request(Method::DELETE).send().await?.status(),
        StatusCode::GONE
    );
    let left = "SELECT 'a chunk' AS value FROM chunks";
    eventually("its bytes are swept", || {
        Ok(app.site.database().query(left)?.is_empty())
    })
    .await
}

#[tokio::test]
async fn names_are_shown_and_saved_but_never_obeyed() -> Result<()> {
    let app = app()?;
    let long = format!("{}.tar", "é".repeat(300));
    for (given, name) in [
        ("../../etc/passwd", "passwd"),
        ("a\"b'c.txt", "a\"b'c.txt"),
        ("two\r\nlines: x.txt", "twolines: x.txt"),
        ("naïve 🚢.bin", "naïve 🚢.bin"),
        ("<script>alert(1)</script>", "script>"),
        (&long, &format!("{}….tar", "é".repeat(250))),
    ] {
        let upload = Tus::create(&app.site.url(), &app.who, 0, &metadata(given, "x")).await?;
        let json = app
            .json(&format!("/api/v1/uploads/{}", upload.id()))
            .await?;
        assert_eq!(json["name"], name);
        let content = app.content(&upload).await?;
        assert_eq!(content.status(), StatusCode::OK, "{given:?}");
    }
    Ok(())
}

#[tokio::test]
async fn options_say_what_is_spoken() -> Result<()> {
    let app = app()?;
    for path in ["/files/", "/files"] {
        let url = format!("{}{path}", app.site.url());
        let answer = app.http.request(Method::OPTIONS, url).send().await?;
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()["tus-version"], "1.0.0");
        assert_eq!(answer.headers()["tus-extension"], EXTENSIONS);
        assert_eq!(answer.headers()["tus-max-size"], "17179869184");
    }
    Ok(())
}

#[tokio::test]
async fn looking_tells_the_offset_and_gives_the_metadata_back() -> Result<()> {
    let app = app()?;
    let sent = metadata("a.bin", "x/y");
    let upload = Tus::create(&app.site.url(), &app.who, 9, &sent).await?;
    upload.patch(0, "abc").await?.error_for_status()?;

    let head = upload.request(Method::HEAD).send().await?;

    assert_eq!(head.status(), StatusCode::OK);
    for (name, value) in [
        ("upload-offset", "3"),
        ("upload-length", "9"),
        ("upload-metadata", sent.as_str()),
        ("cache-control", "no-store"),
        ("tus-resumable", "1.0.0"),
    ] {
        assert_eq!(head.headers()[name], value, "{name}");
    }
    Ok(())
}
