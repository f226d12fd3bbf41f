//! Progress, as viewers get it over the WebSocket.

use anyhow::Result;
use serde_json::{Value, json};
use slipway_tests::{Site, Tus, Viewer, random_bytes, sha256};

use crate::settled;

/// How a topic looked to a viewer: every state, in the order it came.
fn done_of(frames: &[Value], topic: &str) -> Vec<u64> {
    let about = frames.iter().filter(|frame| frame["topic"] == topic);
    about
        .filter_map(|frame| frame["d"]["done"].as_u64())
        .collect()
}

#[tokio::test]
async fn a_viewer_sees_stored_bytes_rise_to_the_end_and_the_inspection_after_them() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(8_000_000, 1);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    let first = viewer.until(&topic, |frame| frame["t"] == "snap").await?;
    assert_eq!(first[0]["t"], "ok");
    assert_eq!(first[1]["d"]["status"], "receiving");

    for offset in [0, 3_000_000, 6_000_000] {
        let end = file.len().min(offset + 3_000_000);
        upload
            .patch(offset, file.slice(offset..end))
            .await?
            .error_for_status()?;
    }

    let frames = viewer
        .until(&topic, |frame| frame["d"]["status"] == "stored")
        .await?;
    let done = done_of(&frames, &topic);
    assert!(
        done.is_sorted() && done.last() == Some(&8_000_000),
        "{done:?}"
    );
    let last = frames.last().unwrap();
    assert_eq!(last["d"]["checksum"], sha256(&file).as_str());
    let job = format!("job:{}", last["d"]["jobs"][0].as_str().unwrap());
    viewer.follow(&job, None).await?;
    let frames = viewer
        .until(&job, |frame| frame["d"]["status"] == "done")
        .await?;
    assert_eq!(done_of(&frames, &job).last(), Some(&8_000_000));
    Ok(())
}

#[tokio::test]
async fn a_viewer_hears_each_turn_and_what_the_inspection_found() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let announced = crate::metadata("a.bin", "application/pdf");
    let upload = Tus::create(&site.url(), &who, 9, &announced).await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    let first = viewer.until(&topic, |frame| frame["t"] == "snap").await?;
    assert_eq!(first[1]["d"]["media_type"], "application/pdf");

    upload.patch(0, "a,b\n1,2\n\n").await?.error_for_status()?;

    let frames = viewer
        .until(&topic, |frame| frame["d"]["media_type"] == "text/plain")
        .await?;
    let turns: Vec<&Value> = frames.iter().filter(|frame| frame["t"] == "ev").collect();
    assert_eq!(turns.len(), 1, "{frames:?}");
    assert_eq!(turns[0]["kind"], "status");
    assert_eq!(turns[0]["d"], json!({"was": "receiving", "is": "stored"}));
    Ok(())
}

#[tokio::test]
async fn a_viewer_who_claims_more_than_they_were_told_begins_anew() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    viewer.until(&topic, |frame| frame["t"] == "snap").await?;

    viewer.say(&json!({"t": "ack", "pos": {&topic: 1}})).await?;
    viewer
        .say(&json!({"t": "ack", "pos": {&topic: 99}}))
        .await?;

    assert_eq!(viewer.closed().await?.1, 4000);
    Ok(())
}

#[tokio::test]
async fn an_account_sees_uploads_appear_change_and_go() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let topic = format!("account:{}", id_of(&site, &who.email)?);
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    viewer
        .until(&topic, |frame| frame["d"]["uploads"] == json!([]))
        .await?;

    let upload = Tus::create(&site.url(), &who, 5, "").await?;
    let here = |frame: &Value| frame["d"]["uploads"][0]["id"] == upload.id();
    viewer.until(&topic, |frame| here(frame)).await?;

    upload.patch(0, "hello").await?.error_for_status()?;
    let inspected = |frame: &Value| {
        frame["d"]["uploads"][0]["status"] == "stored" && frame["d"]["jobs"][0]["status"] == "done"
    };
    viewer.until(&topic, inspected).await?;

    upload
        .request(reqwest::Method::DELETE)
        .send()
        .await?
        .error_for_status()?;
    viewer
        .until(&topic, |frame| frame["d"]["uploads"] == json!([]))
        .await?;
    Ok(())
}

#[tokio::test]
async fn viewers_of_another_process_see_the_same() -> Result<()> {
    let site = Site::start()?;
    let beside = site.start_beside()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(4_000_000, 2);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&beside.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    viewer.until(&topic, |frame| frame["t"] == "snap").await?;

    upload
        .patch(0, file.slice(..2_000_000))
        .await?
        .error_for_status()?;
    viewer
        .until(&topic, |frame| frame["d"]["done"] == 2_000_000)
        .await?;
    // And the other process goes on with what the first has stored.
    let mut there = upload.clone();
    there.url = upload.url.replace(&site.url(), &beside.url());
    assert_eq!(there.offset().await?, 2_000_000);
    there
        .patch(2_000_000, file.slice(2_000_000..))
        .await?
        .error_for_status()?;

    viewer
        .until(&topic, |frame| {
            frame["d"]["checksum"] == sha256(&file).as_str()
        })
        .await?;
    Ok(())
}

#[tokio::test]
async fn a_viewer_who_comes_back_after_a_crash_goes_on_where_they_were() -> Result<()> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    upload.patch(0, "abc").await?.error_for_status()?;
    let frames = viewer
        .until(&topic, |frame| frame["d"]["done"] == 3)
        .await?;
    let s = frames.last().unwrap()["s"].clone();
    let e = frames.iter().find(|frame| frame["t"] == "ok").unwrap()["e"].clone();

    site.kill()?;
    site.run()?;

    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, Some(json!({"e": e, "s": s}))).await?;
    let frames = viewer.until(&topic, |frame| frame["t"] == "ok").await?;
    assert_eq!(
        (&frames[0]["recovered"], &frames[0]["s"]),
        (&json!(true), &s)
    );
    upload.patch(3, "def").await?.error_for_status()?;
    let frames = viewer
        .until(&topic, |frame| frame["d"]["status"] == "stored")
        .await?;
    let state = |frame: &Value| frame["t"] == "up" || frame["t"] == "ev";
    assert!(frames.iter().all(state), "{frames:?}");
    Ok(())
}

#[tokio::test]
async fn a_removed_upload_is_gone_for_its_viewers() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    viewer.until(&topic, |frame| frame["t"] == "snap").await?;

    upload
        .request(reqwest::Method::DELETE)
        .send()
        .await?
        .error_for_status()?;

    viewer.until(&topic, |frame| frame["t"] == "gone").await?;
    Ok(())
}

#[tokio::test]
async fn nobody_follows_what_is_not_theirs() -> Result<()> {
    let site = Site::start()?;
    let (owner, other) = (
        site.who("a@example.com", "member")?,
        site.who("b@example.com", "member")?,
    );
    let admin = site.who("c@example.com", "administrator")?;
    let upload = Tus::create(&site.url(), &owner, 6, "").await?;
    let upload = format!("upload:{}", upload.id());
    let account = format!("account:{}", id_of(&site, &owner.email)?);
    let unknown = "upload:01900000-0000-7000-8000-000000000000";

    let mut viewer = Viewer::connect(&site.url(), &other).await?;
    for topic in [&upload, &account, unknown, "nonsense"] {
        viewer.follow(topic, None).await?;
        let frame = viewer.frame().await?;
        assert_eq!(
            (&frame["t"], &frame["code"]),
            (&json!("err"), &json!("unknown_topic")),
            "{topic}"
        );
    }

    let mut viewer = Viewer::connect(&site.url(), &admin).await?;
    viewer.follow(&upload, None).await?;
    viewer.until(&upload, |frame| frame["t"] == "snap").await?;
    Ok(())
}

#[tokio::test]
async fn the_door_is_kept_before_the_upgrade() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let mut stranger = Viewer::request(&site.url(), &who)?;
    stranger.headers_mut().remove("Authorization");
    assert_eq!(Viewer::refused(stranger).await?, 401);

    let mut other = Viewer::request(&site.url(), &who)?;
    other
        .headers_mut()
        .insert("Sec-WebSocket-Protocol", "chat".parse()?);
    assert_eq!(Viewer::refused(other).await?, 400);

    let cookie = crate::access::cookie(&site, &who.email).await?;
    for (origin, status) in [(Some("https://evil.example.com"), 403), (None, 403)] {
        let mut request = Viewer::request(&site.url(), &who)?;
        request.headers_mut().remove("Authorization");
        request.headers_mut().insert("Cookie", cookie.parse()?);
        if let Some(origin) = origin {
            request.headers_mut().insert("Origin", origin.parse()?);
        }
        assert_eq!(Viewer::refused(request).await?, status, "{origin:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_viewer_who_signed_out_is_shown_the_door() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let mut request = Viewer::request(&site.url(), &who)?;
    let headers = request.headers_mut();
    headers.remove("Authorization");
    headers.insert(
        "Cookie",
        crate::access::cookie(&site, &who.email).await?.parse()?,
    );
    headers.insert("Origin", site.url().parse()?);
    let mut viewer = Viewer::enter(request).await?;

    site.database().execute("DELETE FROM sessions")?;

    // Looked at with every heartbeat.
    assert_eq!(viewer.closed().await?.1, 4001);
    Ok(())
}

#[tokio::test]
async fn what_a_viewer_may_not_see_any_more_is_gone_for_them() -> Result<()> {
    let site = Site::start()?;
    let (owner, admin) = (
        site.who("a@example.com", "member")?,
        site.who("b@example.com", "administrator")?,
    );
    let theirs = Tus::create(&site.url(), &owner, 6, "").await?;
    let own = Tus::create(&site.url(), &admin, 6, "").await?;
    let topics = [&theirs, &own].map(|upload| format!("upload:{}", upload.id()));
    let mut viewer = Viewer::connect(&site.url(), &admin).await?;
    for topic in &topics {
        viewer.follow(topic, None).await?;
        viewer.until(topic, |frame| frame["t"] == "snap").await?;
    }

    site.database()
        .execute("UPDATE accounts SET role = 'member'")?;

    // Looked at with every heartbeat.
    let frames = viewer
        .until(&topics[0], |frame| frame["t"] == "gone")
        .await?;
    assert_eq!(frames.last().unwrap()["reason"], "forbidden");
    for upload in [&theirs, &own] {
        upload.patch(0, "abc").await?.error_for_status()?;
    }
    let frames = viewer
        .until(&topics[1], |frame| frame["d"]["done"] == 3)
        .await?;
    assert!(
        frames.iter().all(|frame| frame["topic"] != topics[0]),
        "{frames:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_unruly_viewer_is_shown_out() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.say(&json!({"t": "shout"})).await?;
    assert_eq!(viewer.frame().await?["code"], "malformed");

    for _ in 0..400 {
        // Refused messages end in a closed connection, after which nothing is sent.
        if viewer.say(&json!({"t": "ack"})).await.is_err() {
            break;
        }
    }

    assert_eq!(viewer.closed().await?.1, 1008);
    Ok(())
}

#[tokio::test]
async fn viewers_are_sent_elsewhere_before_the_process_goes() -> Result<()> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let mut viewer = Viewer::connect(&site.url(), &who).await?;

    site.ask_to_go()?;

    let (frames, code) = viewer.closed().await?;
    assert_eq!((&frames[0]["t"], code), (&json!("drain"), 1012));
    let (_, status) = site.stop()?;
    assert!(status.success(), "{status}");
    Ok(())
}

#[tokio::test]
async fn a_listening_connection_that_is_lost_costs_no_news() -> Result<()> {
    let site = Site::start()?;
    let beside = site.start_beside()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&beside.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    viewer.until(&topic, |frame| frame["t"] == "snap").await?;

    site.database().query(
        "SELECT pg_terminate_backend(pid)::text AS value FROM pg_stat_activity \
         WHERE datname = current_database() AND query = 'LISTEN slipway_progress'",
    )?;
    upload.patch(0, "hello!").await?.error_for_status()?;

    viewer
        .until(&topic, |frame| frame["d"]["status"] == "stored")
        .await?;
    settled(&site, &who, upload.id()).await?;
    Ok(())
}

#[tokio::test]
async fn viewers_learn_that_what_they_see_may_be_old_and_when_it_is_not() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 6, "").await?;
    let topic = format!("upload:{}", upload.id());
    let mut viewer = Viewer::connect(&site.url(), &who).await?;
    viewer.follow(&topic, None).await?;
    viewer.until(&topic, |frame| frame["t"] == "snap").await?;

    let held = site.database().hold("LOCK TABLE uploads")?;
    assert_eq!(viewer.frame().await?["stale"], true);

    drop(held);
    assert_eq!(viewer.frame().await?["stale"], false);
    upload.patch(0, "hello!").await?.error_for_status()?;
    viewer
        .until(&topic, |frame| frame["d"]["status"] == "stored")
        .await?;
    Ok(())
}

fn id_of(site: &Site, email: &str) -> Result<String> {
    let query = format!("SELECT id::text AS value FROM accounts WHERE email = '{email}'");
    Ok(site.database().query(&query)?.remove(0))
}
