//! The whole system, as its users meet it: one binary, and for each test a server
//! process and a database of its own.

mod access;
mod commands;
mod concat;
mod crumbs;
mod doors;
mod downloads;
mod draft;
mod faults;
mod guard;
mod jobs;
mod limits;
mod live;
mod matrix;
mod migrations;
mod pages;
mod people;
mod plain;
mod progress;
mod resume;
mod stores;
mod takeover;
mod tus;
mod uploads;

use std::time::Duration;

use anyhow::{Result, bail};
use serde_json::Value;
use slipway_tests::{Site, Who};

/// An `Upload-Metadata` header with a name and a type.
fn metadata(name: &str, media_type: &str) -> String {
    use base64::Engine;
    let encode = |text: &str| base64::engine::general_purpose::STANDARD.encode(text);
    format!("filename {},filetype {}", encode(name), encode(media_type))
}

/// Waits for something that takes a while; fails when it takes too long.
async fn eventually(what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
    for _ in 0..3000 {
        if is_so()? {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    bail!("this did not happen within 30 s: {what}")
}

/// The upload once it and its jobs have come to rest.
async fn settled(site: &Site, who: &Who, id: &str) -> Result<Value> {
    let http = reqwest::Client::new();
    let url = format!("{}/api/v1/uploads/{id}", site.url());
    let mut last = Value::Null;
    for _ in 0..600 {
        let answer = http.get(&url).bearer_auth(&who.token).send().await?;
        last = answer.error_for_status()?.json().await?;
        let rests = |state: &Value| !matches!(state.as_str(), Some("queued" | "running"));
        let jobs = last["jobs"]
            .as_array()
            .is_some_and(|jobs| !jobs.is_empty() && jobs.iter().all(|job| rests(&job["state"])));
        if jobs {
            return Ok(last);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    bail!("the upload did not come to rest: {last}\n{}", site.log())
}
