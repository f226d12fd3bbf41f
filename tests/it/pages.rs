//! What every answer has in common, and the pages as they come without a script.

use anyhow::{Context, Result};
use reqwest::{Client, StatusCode, redirect};
use slipway_tests::{Site, Tus};

use crate::metadata;

#[tokio::test]
async fn every_answer_has_an_id_and_the_headers_that_keep_browsers_safe() -> Result<()> {
    let site = Site::start()?;
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .build()?;
    for path in [
        "/",
        "/sign-in",
        "/healthz",
        "/nowhere",
        "/api/v1/uploads",
        "/files/x",
    ] {
        let answer = client.get(format!("{}{path}", site.url())).send().await?;
        let headers = answer.headers();
        assert!(headers.contains_key("x-request-id"), "{path}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{path}");
        let policy = headers["content-security-policy"].to_str()?;
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
    }
    let id = "6f1a2b3c-0000-4000-8000-000000000001";
    let answer = client
        .get(format!("{}/healthz", site.url()))
        .header("X-Request-Id", id)
        .send()
        .await?;
    assert_eq!(answer.headers()["x-request-id"], id);
    Ok(())
}

#[tokio::test]
async fn an_error_is_a_page_for_people_and_a_problem_for_programs() -> Result<()> {
    let site = Site::start()?;
    let url = format!("{}/nowhere", site.url());

    let page = Client::new()
        .get(&url)
        .header("Accept", "text/html")
        .send()
        .await?;
    assert_eq!(page.status(), StatusCode::NOT_FOUND);
    let id = page.headers()["x-request-id"].to_str()?.to_owned();
    let text = page.text().await?;
    assert!(
        text.starts_with("<!doctype html>") && text.contains(&id),
        "{text}"
    );

    let problem = Client::new().get(&url).send().await?;
    assert_eq!(
        problem.headers()["content-type"],
        "application/problem+json"
    );
    let id = problem.headers()["x-request-id"].to_str()?.to_owned();
    let json: serde_json::Value = problem.json().await?;
    assert_eq!(
        (&json["status"], &json["request_id"]),
        (&404.into(), &id.into())
    );
    assert_eq!(json["instance"], "/nowhere");
    Ok(())
}

#[tokio::test]
async fn a_method_that_is_not_taken_is_refused_with_those_that_are() -> Result<()> {
    let site = Site::start()?;

    let answer = Client::new()
        .post(format!("{}/api/v1/jobs", site.url()))
        .send()
        .await?;

    assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.headers()["allow"], "GET");
    assert!(answer.text().await?.contains("this address takes GET"));
    Ok(())
}

#[tokio::test]
async fn a_stranger_is_sent_to_sign_in_and_back() -> Result<()> {
    let site = Site::start()?;
    let client = Client::builder()
        .redirect(redirect::Policy::none())
        .build()?;

    let answer = client
        .get(format!("{}/uploads/x", site.url()))
        .send()
        .await?;

    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/sign-in?next=%2Fuploads%2Fx");
    Ok(())
}

#[tokio::test]
async fn a_list_shows_names_as_text_without_a_script() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let name = "<img src=x onerror=alert(1)>.csv";
    Tus::create(&site.url(), &who, 0, &metadata(name, "text/csv")).await?;
    let cookie = crate::access::cookie(&site, &who.email).await?;

    let page = Client::new()
        .get(site.url())
        .header("Cookie", cookie)
        .send()
        .await?
        .text()
        .await?;

    assert!(!page.contains("<img"), "{page}");
    assert!(
        page.contains("&#60;img") || page.contains("&lt;img"),
        "{page}"
    );
    Ok(())
}

#[tokio::test]
async fn assets_are_compressed_and_kept_for_ever() -> Result<()> {
    let site = Site::start()?;
    let page = Client::new()
        .get(format!("{}/sign-in", site.url()))
        .send()
        .await?
        .text()
        .await?;
    let script = page
        .split('"')
        .find(|text| text.ends_with("/app.js"))
        .context("no script")?;
    let url = format!("{}{script}", site.url());

    let plain = Client::new().get(&url).send().await?;
    let packed = Client::new()
        .get(&url)
        .header("Accept-Encoding", "gzip")
        .send()
        .await?;

    assert_eq!(
        plain.headers()["content-type"],
        "text/javascript; charset=utf-8"
    );
    assert!(
        plain.headers()["cache-control"]
            .to_str()?
            .contains("immutable")
    );
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    assert!(packed.bytes().await?.len() < plain.bytes().await?.len());
    let stale = url.replace("/assets/", "/assets/0");
    assert_eq!(
        Client::new().get(stale).send().await?.status(),
        StatusCode::NOT_FOUND
    );
    Ok(())
}
