//! What tus 1.0.0 has beyond its core, and what browsers of other origins and
//! clients behind odd proxies need.

use anyhow::{Context, Result};
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode};
use slipway_tests::{CHUNK_TYPE, Site, Storage, Tus, pieces, random_bytes, sha256, stores};

use crate::uploads::{App, answer, app};
use crate::{eventually, settled};

fn post(app: &App, headers: &[(&str, &str)]) -> RequestBuilder {
    let request = app.http.post(format!("{}/files/", app.site.url()));
    let request = request
        .header("Tus-Resumable", "1.0.0")
        .bearer_auth(&app.who.token);
    headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The upload that an answer tells the place of.
fn placed(app: &App, response: &Response) -> Result<Tus> {
    let place = header(response, "location").context("no Location")?;
    Tus::at(&app.site.url(), place)
}

#[tokio::test]
async fn an_announcement_can_bring_the_first_bytes_or_all_of_them() -> Result<()> {
    let app = app()?;
    let file = random_bytes(300_000, 21);
    let length = file.len().to_string();
    let announced = [
        ("Upload-Length", length.as_str()),
        ("Content-Type", CHUNK_TYPE),
    ];

    let some = post(&app, &announced)
        .body(file.slice(..100_000))
        .send()
        .await?;
    let all = post(&app, &announced).body(file.clone()).send().await?;

    assert_eq!(
        (some.status(), header(&some, "upload-offset")),
        (StatusCode::CREATED, Some("100000"))
    );
    assert!(some.headers().contains_key("upload-expires"));
    assert_eq!(header(&all, "upload-offset"), Some(length.as_str()));
    assert!(!all.headers().contains_key("upload-expires"));
    let some = placed(&app, &some)?;
    some.patch(100_000, file.slice(100_000..))
        .await?
        .error_for_status()?;
    for upload in [some, placed(&app, &all)?] {
        let json = settled(&app.site, &app.who, upload.id()).await?;
        assert_eq!(json["sha256"], sha256(&file).as_str());
    }
    Ok(())
}

#[tokio::test]
async fn a_first_body_that_breaks_the_rules_is_refused() -> Result<()> {
    let app = app()?;
    let length = ("Upload-Length", "5");

    let typeless = post(&app, &[length]).body("hello").send().await?;
    assert_eq!(answer(typeless).await?, (415, "content_type".to_owned()));

    let kind = ("Content-Type", CHUNK_TYPE);
    let long = post(&app, &[length, kind]).body("too long").send().await?;
    let upload = placed(&app, &long)?;
    assert_eq!(answer(long).await?, (413, "too_long".to_owned()));
    assert_eq!(upload.offset().await?, 0, "it can be gone on with");

    let empty = post(&app, &[length, ("Content-Type", "text/plain")]);
    let empty = empty.header("Content-Length", "0").send().await?;
    assert_eq!(empty.status(), StatusCode::CREATED);
    Ok(())
}

#[tokio::test]
async fn a_size_can_be_told_later_once() -> Result<()> {
    let app = app()?;
    let created = post(&app, &[("Upload-Defer-Length", "1")]).send().await?;
    let upload = placed(&app, &created)?;
    let patch = |offset: usize, length: &str, body: &'static str| {
        let request = upload.request(Method::PATCH);
        let request = request
            .header("Upload-Offset", offset)
            .header("Content-Type", CHUNK_TYPE);
        let request = match length {
            "" => request,
            length => request.header("Upload-Length", length),
        };
        request.body(body).send()
    };
    patch(0, "", "hello").await?.error_for_status()?;
    let head = upload.request(Method::HEAD).send().await?;
    assert_eq!(
        (
            header(&head, "upload-defer-length"),
            header(&head, "upload-length")
        ),
        (Some("1"), None)
    );

    for (length, status, code) in [
        ("4", 400, "inconsistent_length"),
        ("17179869185", 413, "too_large"),
        ("x", 400, "not_a_number"),
    ] {
        let refused = answer(patch(5, length, "").await?).await?;
        assert_eq!(refused, (status, code.to_owned()), "{length}");
    }
    patch(5, "11", " wor").await?.error_for_status()?;
    let other = answer(patch(9, "12", "ld").await?).await?;

    assert_eq!(other, (400, "inconsistent_length".to_owned()));
    let head = upload.request(Method::HEAD).send().await?;
    assert_eq!(
        (
            header(&head, "upload-defer-length"),
            header(&head, "upload-length")
        ),
        (None, Some("11"))
    );
    patch(9, "11", "ld").await?.error_for_status()?;
    let json = settled(&app.site, &app.who, upload.id()).await?;
    assert_eq!(json["sha256"], sha256(b"hello world").as_str());
    Ok(())
}

#[tokio::test]
async fn a_size_that_is_told_when_all_bytes_are_there_completes_the_file() -> Result<()> {
    let app = app()?;
    let created = post(&app, &[("Upload-Defer-Length", "1")]).send().await?;
    let upload = placed(&app, &created)?;
    upload.patch(0, "hello").await?.error_for_status()?;

    let told = upload.request(Method::PATCH);
    let told = told
        .header("Upload-Offset", 5)
        .header("Upload-Length", 5)
        .header("Content-Type", CHUNK_TYPE);
    told.send().await?.error_for_status()?;

    let json = settled(&app.site, &app.who, upload.id()).await?;
    assert_eq!(
        (&json["state"], &json["sha256"]),
        (&"stored".into(), &sha256(b"hello").into())
    );
    Ok(())
}

#[tokio::test]
async fn an_unfinished_upload_says_until_when_it_waits_and_a_finished_one_never_expires()
-> Result<()> {
    let app = app()?;
    let (unfinished, finished) = (app.upload_of(5).await?, app.upload_of(5).await?);
    let some = unfinished.patch(0, "he").await?;
    let all = finished.patch(0, "hello").await?;
    assert!(some.headers().contains_key("upload-expires"));
    assert!(!all.headers().contains_key("upload-expires"));

    app.site.database().execute(
        "UPDATE uploads SET expires_at = now() - interval '1 day' WHERE state = 'receiving'",
    )?;

    eventually("the unfinished one expires", || {
        let query = "SELECT 'it' AS value FROM uploads WHERE state = 'expired'";
        Ok(app.site.database().query(query)?.len() == 1)
    })
    .await?;
    let head = unfinished.request(Method::HEAD).send().await?;
    assert_eq!(head.status(), StatusCode::GONE);
    let json = settled(&app.site, &app.who, finished.id()).await?;
    assert_eq!(json["state"], "stored");
    let wrong = app
        .site
        .database()
        .execute("UPDATE uploads SET state = 'expired' WHERE state = 'stored'");
    assert!(wrong.is_err(), "the database itself refuses");
    Ok(())
}

#[tokio::test]
async fn a_post_can_stand_for_what_a_proxy_does_not_let_through() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(5).await?;
    let instead = |method: &'static str| {
        let request = upload.request(Method::POST);
        request.header("X-HTTP-Method-Override", method)
    };

    let patch = instead("PATCH")
        .header("Upload-Offset", 0)
        .header("Content-Type", CHUNK_TYPE)
        .body("hel");
    assert_eq!(patch.send().await?.status(), StatusCode::NO_CONTENT);
    let head = instead("HEAD").send().await?;
    assert_eq!(header(&head, "upload-offset"), Some("3"));
    for method in ["PUT", "patch", "OPTIONS"] {
        let refused = instead(method).send().await?.status();
        assert_eq!(refused, StatusCode::METHOD_NOT_ALLOWED, "{method}");
    }
    let delete = instead("DELETE").send().await?;
    assert_eq!(delete.status(), StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test]
async fn pages_of_allowed_origins_may_read_answers_and_refusals_alike() -> Result<()> {
    let ours = "https://pages.example.com";
    let site = Site::start_with(&[("SLIPWAY__SERVER__ALLOWED_ORIGINS", ours)])?;
    let ask = |method: Method, path: &str, origin: &str| {
        let request = reqwest::Client::new().request(method, format!("{}{path}", site.url()));
        request.header("Origin", origin).send()
    };

    for (method, path, status) in [
        (Method::OPTIONS, "/files/", 200),
        (Method::POST, "/files/", 412),
        (Method::PATCH, "/files/nothing", 412),
        (Method::PUT, "/files/nothing", 405),
        (Method::HEAD, "/files/nothing", 404),
    ] {
        let allowed = ask(method.clone(), path, ours).await?;
        assert_eq!(allowed.status(), status, "{method} {path}");
        assert_eq!(header(&allowed, "access-control-allow-origin"), Some(ours));
        let exposed = header(&allowed, "access-control-expose-headers").unwrap_or_default();
        for name in [
            "Location",
            "Upload-Offset",
            "Upload-Expires",
            "Tus-Resumable",
        ] {
            assert!(exposed.contains(name), "{name}");
        }
        let foreign = ask(method.clone(), path, "https://evil.example.com").await?;
        assert_eq!(header(&foreign, "access-control-allow-origin"), None);
        assert_eq!(header(&foreign, "vary"), Some("Origin"));
    }
    let preflight = reqwest::Client::new()
        .request(Method::OPTIONS, format!("{}/files/x", site.url()))
        .header("Origin", ours)
        .header("Access-Control-Request-Method", "PATCH");
    let preflight = preflight.send().await?;
    assert_eq!(preflight.status(), StatusCode::OK);
    let methods = header(&preflight, "access-control-allow-methods").unwrap_or_default();
    assert!(methods.contains("PATCH"), "{methods}");
    let elsewhere = ask(Method::GET, "/api/v1/uploads", ours).await?;
    assert_eq!(header(&elsewhere, "access-control-allow-origin"), None);
    Ok(())
}

#[tokio::test]
async fn empty_metadata_is_accepted() -> Result<()> {
    let app = app()?;

    let created = post(&app, &[("Upload-Length", "0"), ("Upload-Metadata", "")]);

    assert_eq!(created.send().await?.status(), StatusCode::CREATED);
    Ok(())
}

#[tokio::test]
async fn every_answer_names_the_version_and_refusals_too() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(5).await?;
    let unversioned = app.http.head(&upload.url).send().await?;

    assert_eq!(unversioned.status(), StatusCode::PRECONDITION_FAILED);
    assert_eq!(header(&unversioned, "tus-version"), Some("1.0.0"));
    assert_eq!(header(&unversioned, "tus-resumable"), Some("1.0.0"));
    let refused = upload.patch(3, "x").await?;
    assert_eq!(header(&refused, "tus-resumable"), Some("1.0.0"));
    Ok(())
}

/// `Upload-Checksum` values of some bytes, one for each algorithm.
fn checksums(bytes: &[u8]) -> [String; 4] {
    use base64::Engine;
    use md5::Digest;
    let encode = |digest: &[u8]| base64::engine::general_purpose::STANDARD.encode(digest);
    [
        format!("sha1 {}", encode(&sha1::Sha1::digest(bytes))),
        format!("sha256 {}", encode(&sha2::Sha256::digest(bytes))),
        format!("md5 {}", encode(&md5::Md5::digest(bytes))),
        format!("crc32c {}", encode(&crc32c::crc32c(bytes).to_be_bytes())),
    ]
}

fn patch_with(upload: &Tus, offset: usize, checksum: &str) -> RequestBuilder {
    upload
        .request(Method::PATCH)
        .header("Upload-Offset", offset)
        .header("Content-Type", CHUNK_TYPE)
        .header("Upload-Checksum", checksum)
}

#[tokio::test]
async fn bytes_that_differ_from_their_checksum_are_not_kept_on_any_store() -> Result<()> {
    for store in stores() {
        let storage = Storage::of(store)?;
        let site = Site::start_with(&storage.settings())?;
        let who = site.who("dev@example.com", "member")?;
        // Several chunks of the store, the last of them short.
        let file = random_bytes(2_500_000, 51);
        for checksum in checksums(&file) {
            let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
            let mut damaged = file.to_vec();
            damaged[1_234_567] ^= 1;

            let refused = patch_with(&upload, 0, &checksum).body(damaged);
            let refused = answer(refused.send().await?).await?;
            assert_eq!(refused, (460, "checksum".to_owned()), "{store} {checksum}");
            assert_eq!(upload.offset().await?, 0, "{store} {checksum}");

            let taken = patch_with(&upload, 0, &checksum).body(file.clone());
            let taken = taken.send().await?;
            assert_eq!(taken.status(), StatusCode::NO_CONTENT, "{store} {checksum}");
            let json = settled(&site, &who, upload.id()).await?;
            assert_eq!(json["sha256"], sha256(&file).as_str(), "{store} {checksum}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn of_a_request_with_a_checksum_that_is_cut_nothing_is_kept() -> Result<()> {
    for store in stores() {
        let storage = Storage::of(store)?;
        let site = Site::start_with(&storage.settings())?;
        let who = site.who("dev@example.com", "member")?;
        let file = random_bytes(3_000_000, 52);
        let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
        upload
            .patch(0, file.slice(..100_000))
            .await?
            .error_for_status()?;
        let checksum = &checksums(&file[100_000..])[0];
        let cut = file.slice(100_000..2_500_000);
        let (cut_now, is_cut) = tokio::sync::oneshot::channel::<()>();
        let cut = pieces(cut, 64 * 1024, |_| {}).chain(stream::once(async {
            drop(is_cut.await);
            Err(std::io::Error::other("cut"))
        }));
        assert_eq!(upload.offset().await?, 100_000, "{store}");
        let broken = patch_with(&upload, 100_000, checksum).body(Body::wrap_stream(cut));
        let broken = tokio::spawn(broken.send());
        // Were it to claim the upload only after it was cut, it would be the newcomer.
        let writers = "SELECT 'it' AS value FROM uploads WHERE writer > 2";
        eventually("it has begun", || {
            Ok(!site.database().query(writers)?.is_empty())
        })
        .await?;
        drop(cut_now);
        assert!(broken.await?.is_err());

        assert_eq!(upload.offset().await?, 100_000, "{store}");
        let rest = patch_with(&upload, 100_000, checksum).body(file.slice(100_000..));
        rest.send().await?.error_for_status()?;
        let json = settled(&site, &who, upload.id()).await?;
        assert_eq!(json["sha256"], sha256(&file).as_str(), "{store}");
    }
    Ok(())
}

#[tokio::test]
async fn a_checksum_that_cannot_be_read_is_refused_before_any_byte() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(5).await?;
    for checksum in ["sha512 AAAA", "sha1 AAAA", "sha1", "sha1 !", ""] {
        let refused = patch_with(&upload, 0, checksum).body("hello");
        let refused = answer(refused.send().await?).await?;
        assert_eq!(refused, (400, "upload_checksum".to_owned()), "{checksum}");
    }
    let options = app
        .http
        .request(Method::OPTIONS, &upload.url)
        .send()
        .await?;
    let algorithms = header(&options, "tus-checksum-algorithm");
    assert_eq!(algorithms, Some("sha1,sha256,md5,crc32c"));
    assert_eq!(upload.offset().await?, 0);
    Ok(())
}

#[tokio::test]
async fn whoever_has_the_key_is_told_the_offset_whatever_else_they_show() -> Result<()> {
    let app = app()?;
    let upload = app.upload_of(5).await?;
    upload.patch(0, "hel").await?.error_for_status()?;
    // Clients take 401, 403 and 400 here for "start from zero".
    for (name, value) in [
        ("Authorization", "Bearer slw_expired"),
        ("Authorization", "Basic dTpw"),
        (
            "Cookie",
            "slipway_session=gone; __Host-slipway_session=gone",
        ),
        ("Origin", "https://evil.example.com"),
        ("Sec-Fetch-Site", "cross-site"),
    ] {
        let head = upload.request(Method::HEAD).header(name, value);
        let head = head.send().await?;
        assert_eq!(head.status(), StatusCode::OK, "{name}: {value}");
        assert_eq!(header(&head, "upload-offset"), Some("3"));
    }
    Ok(())
}
