//! Uploading by the IETF draft for resumable uploads.

use anyhow::{Context, Result};
use reqwest::{Body, Client, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;
use slipway_tests::{Site, pieces, random_bytes, sha256};

use crate::settled;
use crate::uploads::{App, app};

const PARTIAL: &str = "application/partial-upload";
const PROBLEMS: &str = "https://iana.org/assignments/http-problem-types#";

fn with(request: RequestBuilder, headers: &[(&str, &str)]) -> RequestBuilder {
    headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    })
}

async fn create(app: &App, headers: &[(&str, &str)], body: impl Into<Body>) -> Result<Response> {
    let request = app.http.post(format!("{}/files/", app.site.url()));
    let request = with(request, headers).bearer_auth(&app.who.token);
    Ok(request.body(body).send().await?)
}

async fn append(
    url: &str,
    offset: usize,
    headers: &[(&str, &str)],
    body: impl Into<Body>,
) -> Result<Response> {
    let request = Client::new().patch(url).header("Content-Type", PARTIAL);
    let request = with(request.header("Upload-Offset", offset), headers);
    Ok(request.body(body).send().await?)
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn place(site: &Site, response: &Response) -> Result<String> {
    let place = header(response, "location").context("no Location")?;
    Ok(format!("{}{place}", site.url()))
}

fn id_of(url: &str) -> &str {
    let key = url.rsplit('/').next().unwrap_or_default();
    key.split('.').next().unwrap_or_default()
}

/// The end of a problem's type and the whole of it.
async fn problem(response: Response) -> Result<(u16, String, Value)> {
    let status = response.status().as_u16();
    let problem: Value = response.json().await?;
    let kind = problem["type"].as_str().unwrap_or_default();
    let kind = kind.trim_start_matches(PROBLEMS).to_owned();
    Ok((status, kind, problem))
}

#[tokio::test]
async fn one_request_can_bring_a_whole_file() -> Result<()> {
    let app = app()?;
    let file = random_bytes(1_500_000, 31);
    let headers = [
        ("Upload-Complete", "?1"),
        ("Content-Disposition", "inline; filename=\"a b.bin\""),
        ("Content-Type", "image/png"),
        ("Want-Repr-Digest", "sha-256=1"),
    ];

    let created = create(&app, &headers, file.clone()).await?;

    assert_eq!(created.status(), StatusCode::CREATED);
    assert_eq!(header(&created, "upload-complete"), Some("?1"));
    assert_eq!(header(&created, "upload-offset"), Some("1500000"));
    assert!(header(&created, "repr-digest").is_some_and(|text| text.starts_with("sha-256=:")));
    assert_eq!(header(&created, "tus-resumable"), None);
    let url = place(&app.site, &created)?;
    let json = settled(&app.site, &app.who, id_of(&url)).await?;
    assert_eq!(
        (&json["name"], &json["sha256"]),
        (&"a b.bin".into(), &sha256(&file).into())
    );
    Ok(())
}

#[tokio::test]
async fn a_careful_client_learns_the_place_first_and_says_when_it_is_done() -> Result<()> {
    let app = app()?;
    let more = [("Upload-Complete", "?0")];
    let created = create(&app, &[more[0], ("Upload-Length", "11")], "").await?;
    assert_eq!(created.status(), StatusCode::CREATED);
    assert_eq!(header(&created, "upload-complete"), Some("?0"));
    let limit = header(&created, "upload-limit").unwrap_or_default();
    assert!(
        limit.starts_with("max-size=17179869184, min-size=0, max-age="),
        "{limit}"
    );
    let url = place(&app.site, &created)?;

    let some = append(&url, 0, &more, "hello ").await?;
    assert_eq!(
        (some.status(), header(&some, "upload-complete")),
        (StatusCode::NO_CONTENT, Some("?0"))
    );
    append(&url, 6, &more, "world").await?.error_for_status()?;
    let head = Client::new().head(&url).send().await?;
    for (name, value) in [
        ("upload-offset", "11"),
        ("upload-length", "11"),
        ("upload-complete", "?0"),
        ("cache-control", "no-store"),
    ] {
        assert_eq!(header(&head, name), Some(value), "{name}");
    }
    let done = append(&url, 11, &[("Upload-Complete", "?1")], "").await?;

    assert_eq!(
        (done.status(), header(&done, "upload-complete")),
        (StatusCode::OK, Some("?1"))
    );
    let json = settled(&app.site, &app.who, id_of(&url)).await?;
    assert_eq!(json["sha256"], sha256(b"hello world").as_str());
    let head = Client::new().head(&url).send().await?;
    assert_eq!(header(&head, "upload-complete"), Some("?1"));
    Ok(())
}

#[tokio::test]
async fn a_file_whose_size_nobody_knew_ends_where_its_sender_says() -> Result<()> {
    let app = app()?;
    let unsized_body = |text: &'static str| Body::wrap_stream(pieces(text.into(), 2, |_| {}));
    let created = create(&app, &[("Upload-Complete", "?0")], unsized_body("hel")).await?;
    let url = place(&app.site, &created)?;
    assert_eq!(header(&created, "upload-offset"), Some("3"));

    let done = append(&url, 3, &[("Upload-Complete", "?1")], unsized_body("lo")).await?;

    assert_eq!(done.status(), StatusCode::OK);
    let json = settled(&app.site, &app.who, id_of(&url)).await?;
    assert_eq!(
        (&json["total_bytes"], &json["sha256"]),
        (&5.into(), &sha256(b"hello").into())
    );
    Ok(())
}

#[tokio::test]
async fn what_breaks_the_rules_of_the_draft_is_a_problem_of_its_registered_type() -> Result<()> {
    let app = app()?;
    let (all, some) = (("Upload-Complete", "?1"), ("Upload-Complete", "?0"));
    let url = place(&app.site, &create(&app, &[some], "hello").await?)?;

    let (status, kind, json) = problem(append(&url, 3, &[some], "x").await?).await?;
    assert_eq!((status, kind.as_str()), (409, "mismatching-upload-offset"));
    assert_eq!(
        (&json["expected-offset"], &json["provided-offset"]),
        (&5.into(), &3.into())
    );
    let differs = append(&url, 5, &[all, ("Upload-Length", "9")], "x").await?;
    let (status, kind, _) = problem(differs).await?;
    assert_eq!((status, kind.as_str()), (400, "inconsistent-upload-length"));
    let typeless = Client::new().patch(&url).header("Upload-Offset", 5);
    let typeless = with(typeless, &[some]).body("x").send().await?;
    assert_eq!(typeless.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);

    append(&url, 5, &[all], "!").await?.error_for_status()?;
    let (status, kind, _) = problem(append(&url, 6, &[all], "").await?).await?;
    assert_eq!((status, kind.as_str()), (400, "completed-upload"));
    let (status, kind, _) = problem(append(&url, 6, &[some], "x").await?).await?;
    assert_eq!((status, kind.as_str()), (400, "inconsistent-upload-length"));
    Ok(())
}

#[tokio::test]
async fn a_body_past_the_length_that_was_said_ends_the_upload() -> Result<()> {
    let app = app()?;
    let headers = [("Upload-Complete", "?0"), ("Upload-Length", "5")];
    let url = place(&app.site, &create(&app, &headers, "").await?)?;
    let long = Body::wrap_stream(pieces("too long".into(), 3, |_| {}));

    let refused = append(&url, 0, &[("Upload-Complete", "?0")], long).await?;

    let (status, kind, _) = problem(refused).await?;
    assert_eq!((status, kind.as_str()), (400, "inconsistent-upload-length"));
    let head = Client::new().head(&url).send().await?;
    assert_eq!(head.status(), StatusCode::GONE);
    Ok(())
}

#[tokio::test]
async fn an_upload_can_be_cancelled_by_whoever_has_its_key() -> Result<()> {
    let app = app()?;
    let url = place(
        &app.site,
        &create(&app, &[("Upload-Complete", "?0")], "x").await?,
    )?;

    let cancelled = Client::new().delete(&url).send().await?;

    assert_eq!(cancelled.status(), StatusCode::NO_CONTENT);
    let head = Client::new().head(&url).send().await?;
    assert_eq!(head.status(), StatusCode::GONE);
    let anonymous = Client::new().post(format!("{}/files/", app.site.url()));
    let anonymous = with(anonymous, &[("Upload-Complete", "?0")]).send().await?;
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn older_clients_are_understood_and_answered_in_their_own_words() -> Result<()> {
    let app = app()?;
    let version = ("Upload-Draft-Interop-Version", "3");
    let created = create(&app, &[version, ("Upload-Incomplete", "?1")], "hel").await?;
    assert_eq!(header(&created, "upload-incomplete"), Some("?1"));
    assert_eq!(header(&created, version.0), Some("3"));
    let url = place(&app.site, &created)?;
    let head = with(Client::new().head(&url), &[version]).send().await?;
    assert_eq!(
        (
            header(&head, "upload-incomplete"),
            header(&head, "upload-offset")
        ),
        (Some("?1"), Some("3"))
    );

    let rest = with(
        Client::new().patch(&url),
        &[version, ("Upload-Incomplete", "?0")],
    );
    let done = rest.header("Upload-Offset", 3).body("lo").send().await?;

    assert_eq!(header(&done, "upload-incomplete"), Some("?0"));
    let json = settled(&app.site, &app.who, id_of(&url)).await?;
    assert_eq!(json["sha256"], sha256(b"hello").as_str());
    Ok(())
}

#[tokio::test]
async fn what_is_spoken_and_how_much_is_taken_can_be_asked() -> Result<()> {
    let app = app()?;

    let url = format!("{}/files/", app.site.url());
    let options = app.http.request(Method::OPTIONS, url).send().await?;

    assert_eq!(header(&options, "accept-patch"), Some(PARTIAL));
    assert_eq!(
        header(&options, "upload-limit"),
        Some("max-size=17179869184, min-size=0")
    );
    Ok(())
}

#[tokio::test]
async fn bytes_that_differ_from_their_digest_are_not_kept() -> Result<()> {
    use base64::Engine;
    use sha2::{Digest, Sha256};
    let app = app()?;
    let file = random_bytes(1_500_000, 32);
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(&file));
    let digest = format!("sha-256=:{digest}:");
    let headers = [
        ("Upload-Complete", "?1"),
        ("Content-Digest", digest.as_str()),
    ];
    let mut damaged = file.to_vec();
    damaged[0] ^= 1;

    let refused = create(&app, &headers, damaged).await?;

    let url = place(&app.site, &refused)?;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let head = Client::new().head(&url).send().await?;
    assert_eq!(header(&head, "upload-offset"), Some("0"));
    append(&url, 0, &headers, file.clone())
        .await?
        .error_for_status()?;
    let json = settled(&app.site, &app.who, id_of(&url)).await?;
    assert_eq!(json["sha256"], sha256(&file).as_str());
    Ok(())
}

#[tokio::test]
async fn a_get_shows_how_far_it_is_and_disturbs_nobody_and_then_where_the_file_is() -> Result<()> {
    let app = app()?;
    let url = place(
        &app.site,
        &create(&app, &[("Upload-Complete", "?0")], "hel").await?,
    )?;
    let client = Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .build()?;
    let writers = "SELECT writer::text AS value FROM uploads";
    let before = app.site.database().query(writers)?;

    let unfinished = client.get(&url).send().await?;

    assert_eq!(
        (unfinished.status(), header(&unfinished, "upload-offset")),
        (StatusCode::NO_CONTENT, Some("3"))
    );
    assert_eq!(app.site.database().query(writers)?, before);
    append(&url, 3, &[("Upload-Complete", "?1")], "lo")
        .await?
        .error_for_status()?;
    let finished = client.get(&url).send().await?;
    assert_eq!(finished.status(), StatusCode::TEMPORARY_REDIRECT);
    let content = place(&app.site, &finished)?;
    let anonymous = client.get(&content).send().await?;
    assert_eq!(anonymous.status(), StatusCode::UNAUTHORIZED);
    let owner = client.get(&content).bearer_auth(&app.who.token);
    assert_eq!(owner.send().await?.text().await?, "hello");
    Ok(())
}
