//! Limits: what is refused before a byte is read, and with what answer.

use anyhow::{Context, Result};
use reqwest::{Client, Response};
use serde_json::Value;
use slipway_tests::{Site, Storage, Tus, Who, random_bytes, sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::settled;

async fn announce(site: &Site, who: &Who, length: usize) -> Result<Response> {
    Ok(Client::new()
        .post(format!("{}/files/", site.url()))
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Length", length)
        .bearer_auth(&who.token)
        .send()
        .await?)
}

/// The status and the code of a refusal, after a look at its form.
async fn refusal(response: Response) -> Result<(u16, String)> {
    let status = response.status().as_u16();
    assert_eq!(
        response.headers()["content-type"],
        "application/problem+json"
    );
    let problem: Value = response.json().await?;
    let kind = problem["type"].as_str().context("no type")?;
    Ok((status, kind.replace("urn:slipway:problem:", "")))
}

#[tokio::test]
async fn an_account_gets_no_more_than_its_quota_and_others_do_not_suffer() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__UPLOADS__ACCOUNT_BYTES_MAX", "1000")])?;
    let who = site.who("dev@example.com", "member")?;
    let other = site.who("other@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 600, "").await?;

    let refused = refusal(announce(&site, &who, 401).await?).await?;

    assert_eq!(refused, (413, "account_full".to_owned()));
    assert_eq!(announce(&site, &who, 400).await?.status(), 201);
    assert_eq!(announce(&site, &other, 1000).await?.status(), 201);
    upload
        .patch(0, random_bytes(600, 1))
        .await?
        .error_for_status()?;
    settled(&site, &who, upload.id()).await?;
    assert_eq!(
        refusal(announce(&site, &who, 1).await?).await?.0,
        413,
        "stored files count"
    );
    upload
        .request(reqwest::Method::DELETE)
        .send()
        .await?
        .error_for_status()?;
    assert_eq!(announce(&site, &who, 600).await?.status(), 201);
    Ok(())
}

#[tokio::test]
async fn an_account_may_have_so_many_uploads_open_and_is_told_to_wait() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__UPLOADS__ACCOUNT_OPEN_MAX", "2")])?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 3, "").await?;
    Tus::create(&site.url(), &who, 3, "").await?;

    let refused = announce(&site, &who, 3).await?;

    assert_eq!(refused.headers()["retry-after"], "60");
    assert_eq!(refusal(refused).await?, (429, "too_many_open".to_owned()));
    upload.patch(0, "abc").await?.error_for_status()?;
    assert_eq!(announce(&site, &who, 3).await?.status(), 201);
    Ok(())
}

#[tokio::test]
async fn a_full_store_takes_no_more_from_anybody() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__UPLOADS__CAPACITY_BYTES", "1000")])?;
    let who = site.who("dev@example.com", "member")?;
    let other = site.who("other@example.com", "member")?;
    Tus::create(&site.url(), &who, 900, "").await?;

    let refused = announce(&site, &other, 101).await?;

    assert_eq!(refused.headers()["retry-after"], "60");
    assert_eq!(refusal(refused).await?, (507, "store_full".to_owned()));
    assert_eq!(announce(&site, &other, 100).await?.status(), 201);
    assert_eq!(refusal(announce(&site, &who, 1).await?).await?.0, 507);
    assert_eq!(announce(&site, &who, 0).await?.status(), 201);
    Ok(())
}

#[tokio::test]
async fn a_refusal_comes_before_the_bytes_are_read() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__UPLOADS__BYTES_MAX", "1000")])?;
    let who = site.who("dev@example.com", "member")?;

    let refused = announce(&site, &who, 1001).await?;

    assert_eq!(refusal(refused).await?, (413, "too_large".to_owned()));
    Ok(())
}

#[tokio::test]
async fn uploads_share_the_memory_there_is_and_all_arrive() -> Result<()> {
    // A quarter of what one upload would take at full speed.
    let site = Site::start_with(&[("SLIPWAY__UPLOADS__IN_FLIGHT_BYTES_MAX", "1048576")])?;
    let who = site.who("dev@example.com", "member")?;
    let uploads: Vec<_> = (0..12)
        .map(|seed| {
            let (url, who) = (site.url(), who.clone());
            tokio::spawn(async move {
                let file = random_bytes(3_000_000, seed);
                let upload = Tus::create(&url, &who, file.len(), "").await?;
                upload.patch(0, file.clone()).await?.error_for_status()?;
                anyhow::Ok((upload, sha256(&file)))
            })
        })
        .collect();

    for upload in uploads {
        let (upload, expected) = upload.await??;

        let json = settled(&site, &who, upload.id()).await?;
        assert_eq!(json["sha256"], expected.as_str());
    }
    Ok(())
}

#[tokio::test]
async fn a_file_that_the_disk_cannot_hold_is_not_begun() -> Result<()> {
    let storage = Storage::of("disk")?;
    let mut settings = storage.settings();
    let most = i64::MAX.to_string();
    settings.extend([
        ("SLIPWAY__UPLOADS__BYTES_MAX", most.as_str()),
        ("SLIPWAY__UPLOADS__CAPACITY_BYTES", most.as_str()),
        ("SLIPWAY__UPLOADS__ACCOUNT_BYTES_MAX", most.as_str()),
    ]);
    let site = Site::start_with(&settings)?;
    let who = site.who("dev@example.com", "member")?;

    // No disk holds an exbibyte.
    let refused = refusal(announce(&site, &who, 1 << 60).await?).await?;

    assert_eq!(refused, (507, "store_full".to_owned()));
    assert_eq!(announce(&site, &who, 1000).await?.status(), 201);
    Ok(())
}

#[tokio::test]
async fn a_head_without_end_is_refused_and_others_are_served() -> Result<()> {
    let site = Site::start()?;
    for (line, lines) in [
        ("X-Long: ".to_owned() + &"x".repeat(200_000), 1),
        ("X-Many: x".to_owned(), 200),
    ] {
        let mut socket = TcpStream::connect(site.url().trim_start_matches("http://")).await?;
        socket
            .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n")
            .await?;
        // The server may refuse and close before it has all of it.
        let _unsent = socket
            .write_all(format!("{line}\r\n").repeat(lines).as_bytes())
            .await;
        let _unsent = socket.write_all(b"\r\n").await;

        let mut answer = [0; 12];
        socket.read_exact(&mut answer).await?;

        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.starts_with("HTTP/1.1 4"), "{lines}: {answer}");
    }
    assert!(site.answer("/healthz")?.starts_with("HTTP/1.1 200"));
    Ok(())
}
