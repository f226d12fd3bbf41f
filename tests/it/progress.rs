//! Progress for whoever has no WebSocket: by a request that waits, and as events.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use slipway_tests::{Description, Events, Site, Tus, Who};

/// Requests of one account that may wait at once.
const ACCOUNT_WAITS: usize = 32;

fn ask(site: &Site, who: &Who, topic: &str, query: &str) -> RequestBuilder {
    let url = format!("{}/api/v1/progress/{topic}{query}", site.url());
    Client::new().get(url).bearer_auth(&who.token)
}

/// The frame of an answer, held to its description, and the position in its tag.
async fn told(site: &Site, answer: Response) -> Result<(Value, String)> {
    let answer = answer.error_for_status()?;
    assert_eq!(answer.status(), StatusCode::OK);
    let tag = answer.headers().get("etag").context("no tag")?.to_str()?;
    let position = tag.trim_matches('"').to_owned();
    let frame: Value = answer.json().await?;
    let described = Description::fetch(&site.url(), "/api/v1/asyncapi.json").await?;
    let kind = frame["t"].as_str().unwrap_or_default();
    described.hold(&frame, &format!("/components/messages/{kind}/payload"))?;
    Ok((frame, position))
}

#[tokio::test]
async fn a_request_that_waits_gets_the_state_and_then_what_changes() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let (frame, position) = told(&site, ask(&site, &who, &topic, "").send().await?).await?;
    assert_eq!(
        (&frame["t"], &frame["d"]["done"]),
        (&json!("snap"), &json!(0))
    );

    let query = format!("?since={position}&wait=25");
    let waiting = tokio::spawn(ask(&site, &who, &topic, &query).send());
    upload.patch(0, "abc").await?.error_for_status()?;
    let (frame, next) = told(&site, waiting.await??).await?;
    assert_eq!(
        (&frame["t"], &frame["d"]["done"]),
        (&json!("up"), &json!(3))
    );

    // Whoever has an old position, by parameter or by tag, gets what they missed at once.
    let tag = format!("\"{position}\"");
    let by_tag = ask(&site, &who, &topic, "").header("If-None-Match", tag);
    for asked in [ask(&site, &who, &topic, &query), by_tag] {
        let (frame, position) = told(&site, asked.send().await?).await?;
        assert_eq!((&frame["d"]["done"], &position), (&json!(3), &next));
    }
    Ok(())
}

#[tokio::test]
async fn a_wait_without_news_ends_with_not_modified() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let (_, position) = told(&site, ask(&site, &who, &topic, "").send().await?).await?;

    let query = format!("?since={position}&wait=1");
    let answer = ask(&site, &who, &topic, &query).send().await?;

    assert_eq!(answer.status(), StatusCode::NOT_MODIFIED);
    assert_eq!(answer.headers()["etag"], format!("\"{position}\""));
    let elsewhere = ask(&site, &who, &topic, "?since=another.0:1&wait=25");
    let (frame, _) = told(&site, elsewhere.send().await?).await?;
    assert_eq!(
        (&frame["t"], &frame["why"]),
        (&json!("snap"), &json!("reset"))
    );
    for query in ["?since=nonsense", "?wait=long"] {
        let answer = ask(&site, &who, &topic, query).send().await?;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
    Ok(())
}

#[tokio::test]
async fn a_wait_goes_on_at_another_process() -> Result<()> {
    let site = Site::start()?;
    let beside = site.start_beside()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let (_, position) = told(&site, ask(&site, &who, &topic, "").send().await?).await?;

    let query = format!("?since={position}&wait=25");
    let waiting = tokio::spawn(ask(&beside, &who, &topic, &query).send());
    upload.patch(0, "abc").await?.error_for_status()?;

    let (frame, _) = told(&beside, waiting.await??).await?;
    assert_eq!(
        (&frame["t"], &frame["d"]["done"]),
        (&json!("up"), &json!(3))
    );
    Ok(())
}

#[tokio::test]
async fn events_tell_each_change_and_go_on_from_the_last_id() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let answer = ask(&site, &who, &topic, "/events")
        .header("Accept-Encoding", "gzip, br")
        .send()
        .await?;
    let headers = answer.headers();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["x-accel-buffering"], "no");
    assert_eq!(headers["cache-control"], "no-store, no-transform");
    assert!(!headers.contains_key("content-encoding"));
    let mut events = Events::of(answer);
    events.until(|frame| frame["t"] == "snap").await?;
    upload.patch(0, "abc").await?.error_for_status()?;
    events.until(|frame| frame["d"]["done"] == 3).await?;
    let last_id = events.last_id.clone();
    drop(events);

    upload.patch(3, "def").await?.error_for_status()?;

    let back = ask(&site, &who, &topic, "/events").header("Last-Event-ID", &last_id);
    let mut events = Events::of(back.send().await?);
    let frames = events
        .until(|frame| frame["d"]["status"] == "stored")
        .await?;
    let changes = |frame: &Value| frame["t"] == "up" || frame["t"] == "ev";
    assert!(frames.iter().all(changes), "{frames:?}");
    assert_ne!(events.last_id, last_id);
    Ok(())
}

#[tokio::test]
async fn what_is_foreign_or_gone_is_not_found_and_what_goes_is_told() -> Result<()> {
    let site = Site::start()?;
    let owner = site.who("a@example.com", "member")?;
    let other = site.who("b@example.com", "member")?;
    let upload = Tus::create(&site.url(), &owner, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let unknown = "upload:01900000-0000-7000-8000-000000000000";
    for topic in [topic.as_str(), unknown, "nonsense"] {
        for rest in ["", "/events"] {
            let answer = ask(&site, &other, topic, rest).send().await?;
            assert_eq!(answer.status(), StatusCode::NOT_FOUND, "{topic}{rest}");
        }
    }
    let stranger = format!("{}/api/v1/progress/{topic}", site.url());
    assert_eq!(
        reqwest::get(stranger).await?.status(),
        StatusCode::UNAUTHORIZED
    );

    let (_, position) = told(&site, ask(&site, &owner, &topic, "").send().await?).await?;
    let query = format!("?since={position}&wait=25");
    let waiting = tokio::spawn(ask(&site, &owner, &topic, &query).send());
    let mut events = Events::of(ask(&site, &owner, &topic, "/events").send().await?);
    events.until(|frame| frame["t"] == "snap").await?;
    upload
        .request(reqwest::Method::DELETE)
        .send()
        .await?
        .error_for_status()?;

    events.until(|frame| frame["t"] == "gone").await?;
    assert_eq!(events.frame().await?, None);
    let answer = waiting.await??;
    // It may have come in after the removal.
    if answer.status() != StatusCode::NOT_FOUND {
        assert_eq!(answer.json::<Value>().await?["t"], "gone");
    }
    let answer = ask(&site, &owner, &topic, "").send().await?;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    Ok(())
}

#[tokio::test]
async fn whoever_signed_out_hears_no_more() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let cookie = crate::access::cookie(&site, &who.email).await?;
    let url = format!("{}/api/v1/progress/upload:{}", site.url(), upload.id());
    let ask = |rest: &str| {
        Client::new()
            .get(format!("{url}{rest}"))
            .header("Cookie", &cookie)
    };
    assert_eq!(ask("").send().await?.status(), StatusCode::OK);
    let mut events = Events::of(ask("/events").send().await?);
    events.until(|frame| frame["t"] == "snap").await?;

    site.database().execute("DELETE FROM sessions")?;

    assert_eq!(ask("").send().await?.status(), StatusCode::UNAUTHORIZED);
    // Looked at with every sign of life.
    assert_eq!(events.frame().await?, None);
    let back = ask("/events").send().await?;
    assert_eq!(back.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn whoever_waits_is_sent_elsewhere_before_the_process_goes() -> Result<()> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut events = Events::of(ask(&site, &who, &topic, "/events").send().await?);
    events.until(|frame| frame["t"] == "snap").await?;

    site.ask_to_go()?;

    let frames = events.until(|frame| frame["t"] == "drain").await?;
    assert_eq!(frames.len(), 1, "{frames:?}");
    assert_eq!(events.frame().await?, None);
    let (_, status) = site.stop()?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn an_account_may_wait_so_often_and_places_come_free_again() -> Result<()> {
    let site = Site::start()?;
    let (who, other) = (
        site.who("a@example.com", "administrator")?,
        site.who("b@example.com", "administrator")?,
    );
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut streams = Vec::new();
    for _ in 0..ACCOUNT_WAITS {
        let answer = ask(&site, &who, &topic, "/events").send().await?;
        streams.push(Events::of(answer.error_for_status()?));
    }

    let refused = ask(&site, &who, &topic, "").send().await?;

    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    let problem: Value = refused.json().await?;
    assert_eq!(problem["type"], "urn:slipway:problem:too_many_waits");
    told(&site, ask(&site, &other, &topic, "").send().await?).await?;
    upload
        .request(reqwest::Method::DELETE)
        .send()
        .await?
        .error_for_status()?;
    for mut events in streams {
        events.until(|frame| frame["t"] == "gone").await?;
    }
    // Not "too many" any more, but gone.
    until_status(&site, &who, &topic, StatusCode::NOT_FOUND).await?;
    Ok(())
}

#[tokio::test]
async fn the_loop_of_the_documentation_follows_a_file_to_its_end() -> Result<()> {
    let found = Command::new("curl").arg("--version").output();
    if found.is_err() {
        slipway_db::testing::skip("curl is not installed")?;
        return Ok(());
    }
    let page = include_str!("../../docs/live.md");
    let mut blocks = page.split("```").filter(|block| block.contains("while :"));
    let script = blocks.next().context("no loop")?;
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let folder = std::env::temp_dir().join(format!("slipway-loop-{}", upload.id()));
    std::fs::create_dir(&folder)?;
    let mut running = Command::new("sh")
        .args(["-u", "-c", script])
        .current_dir(&folder)
        .envs([("URL", site.url()), ("TOKEN", who.token.clone())])
        .env("ID", upload.id())
        .stdout(Stdio::piped())
        .spawn()?;
    let mut said = BufReader::new(running.stdout.take().context("no output")?).lines();

    let first: Value = serde_json::from_str(&said.next().context("nothing")??)?;
    upload.patch(0, "hello!").await?.error_for_status()?;
    let rest: Vec<String> = said.collect::<std::io::Result<_>>()?;

    assert!(running.wait()?.success());
    assert_eq!(first["t"], "snap");
    let last: Value = serde_json::from_str(rest.last().context("no end")?)?;
    assert_eq!(last["d"]["status"], "stored");
    std::fs::remove_dir_all(folder)?;
    Ok(())
}

/// Asks until the answer has this status.
async fn until_status(site: &Site, who: &Who, topic: &str, status: StatusCode) -> Result<Response> {
    for _ in 0..600 {
        let answer = ask(site, who, topic, "").send().await?;
        if answer.status() == status {
            return Ok(answer);
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    bail!("{status} did not come")
}
