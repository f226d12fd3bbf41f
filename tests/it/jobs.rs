//! Jobs: they outlive requests, workers and crashes.

use anyhow::Result;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use slipway_tests::{Site, Tus, ask_to_go, random_bytes};

use crate::{eventually, metadata, settled};

#[tokio::test]
async fn text_is_recognised_and_its_lines_are_counted() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let table = "name,number\n".to_owned() + &"naïve 🚢,42\n".repeat(100_000);
    let upload = Tus::create(
        &site.url(),
        &who,
        table.len(),
        &metadata("t.csv", "text/csv"),
    )
    .await?;

    upload.patch(0, table).await?.error_for_status()?;

    let json = settled(&site, &who, upload.id()).await?;
    assert_eq!(json["media_type"], "text/csv");
    assert_eq!(json["jobs"][0]["message"], "verified; 100001 lines of text");
    Ok(())
}

#[tokio::test]
async fn bytes_that_rotted_are_found_out() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__JOBS__INLINE", "false")])?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 5, "").await?;
    upload.patch(0, "hello").await?.error_for_status()?;
    site.database()
        .execute("UPDATE chunks SET data = 'hellO'::bytea")?;

    let mut worker = Worker::start(&site)?;

    let json = settled(&site, &who, upload.id()).await?;
    worker.stop()?;
    assert_eq!(
        (&json["state"], &json["jobs"][0]["state"]),
        (&"failed".into(), &"refused".into())
    );
    assert!(
        json["message"]
            .as_str()
            .is_some_and(|message| message.contains("SHA-256")),
        "{json}"
    );
    Ok(())
}

#[tokio::test]
async fn a_job_whose_worker_was_killed_is_finished_by_another() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__JOBS__INLINE", "false")])?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(48 * 1024 * 1024, 1);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    upload.patch(0, file).await?.error_for_status()?;

    let mut first = Worker::start(&site)?;
    eventually("the job runs", || Ok(job(&site, "state")? != "queued")).await?;
    first.kill()?;
    // What would take the lease's half minute.
    site.database()
        .execute("UPDATE jobs SET lease_until = now() WHERE state = 'running'")?;
    let mut second = Worker::start(&site)?;

    let json = settled(&site, &who, upload.id()).await?;
    second.stop()?;
    assert_eq!(json["jobs"][0]["state"], "done");
    assert_eq!(json["jobs"][0]["attempt"], 2);
    Ok(())
}

#[tokio::test]
async fn a_worker_that_is_asked_to_go_puts_its_job_back() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__JOBS__INLINE", "false")])?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(48 * 1024 * 1024, 2);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    upload.patch(0, file).await?.error_for_status()?;

    let mut first = Worker::start(&site)?;
    eventually("the job runs", || Ok(job(&site, "state")? != "queued")).await?;
    first.stop()?;

    // It was put back, unless it was done before the signal came.
    let state = job(&site, "state")?;
    assert!(matches!(state.as_str(), "queued" | "done"), "{state}");
    let mut second = Worker::start(&site)?;
    let json = settled(&site, &who, upload.id()).await?;
    second.stop()?;
    assert_eq!(json["jobs"][0]["state"], "done");
    Ok(())
}

#[tokio::test]
async fn a_waiting_job_is_cancelled_and_retried() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__JOBS__INLINE", "false")])?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 0, "").await?;
    let id = job(&site, "id")?;
    let post = async |what: &str| {
        let url = format!("{}/api/v1/jobs/{id}/{what}", site.url());
        Client::new().post(url).bearer_auth(&who.token).send().await
    };

    let cancelled: Value = post("cancellation").await?.json().await?;
    assert_eq!(cancelled["state"], "cancelled");
    assert_eq!(post("cancellation").await?.status(), StatusCode::CONFLICT);
    let retried: Value = post("retry").await?.json().await?;
    assert_eq!(retried["state"], "queued");

    let mut worker = Worker::start(&site)?;
    let json = settled(&site, &who, upload.id()).await?;
    worker.stop()?;
    assert_eq!(json["jobs"][0]["state"], "done");
    Ok(())
}

/// A column of the only job.
fn job(site: &Site, column: &str) -> Result<String> {
    Ok(site
        .database()
        .query(&format!("SELECT {column}::text AS value FROM jobs"))?
        .remove(0))
}

/// A worker process on the database of a site.
struct Worker(std::process::Child);

impl Worker {
    fn start(site: &Site) -> Result<Self> {
        Ok(Self(site.spawn(&["work"])?))
    }

    fn kill(&mut self) -> Result<()> {
        self.0.kill()?;
        self.0.wait()?;
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        ask_to_go(&self.0)?;
        let status = self.0.wait()?;
        anyhow::ensure!(status.success(), "the worker ended with {status}");
        Ok(())
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Nothing is left to do about a process that has ended.
        let _ended = self.0.kill().and_then(|()| self.0.wait());
    }
}
