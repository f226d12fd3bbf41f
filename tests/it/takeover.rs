//! Two connections on one upload: the newer one goes on, and the older one is told,
//! in the same process and in another one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use reqwest::{Body, Method, Response, StatusCode};
use slipway_tests::{CHUNK_TYPE, Site, Tus, pieces, random_bytes, sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::{eventually, settled};

/// How long a connection may take to be closed.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A `PATCH` that sends `first` and then nothing, its connection open.
struct Stalled {
    answer: JoinHandle<Result<Response>>,
    sent: Arc<AtomicUsize>,
}

fn stalled(upload: &Tus, offset: usize, first: Bytes) -> Stalled {
    let sent = Arc::new(AtomicUsize::new(0));
    let (upload, count) = (upload.clone(), Arc::clone(&sent));
    let answer = tokio::spawn(async move {
        let first = pieces(first, 10_000, move |bytes| {
            count.fetch_add(bytes, Ordering::Relaxed);
        });
        let body = Body::wrap_stream(first.chain(stream::pending()));
        upload.patch(offset, body).await
    });
    Stalled { answer, sent }
}

impl Stalled {
    async fn has_sent(&self, bytes: usize) -> Result<()> {
        eventually("the bytes are sent", || {
            Ok(self.sent.load(Ordering::Relaxed) == bytes)
        })
        .await
    }

    /// It hears that it is superseded without sending another byte.
    async fn hears_of_it(self) -> Result<()> {
        let answer = self.answer.await??;
        assert_eq!(answer.status(), StatusCode::LOCKED);
        Ok(())
    }
}

#[tokio::test]
async fn asking_for_the_offset_ends_a_stalled_connection_and_keeps_what_it_sent() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(1_000_000, 41);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    let old = stalled(&upload, 0, file.slice(..300_000));
    old.has_sent(300_000).await?;
    eventually("a first chunk is stored", || Ok(stored(&site)? > 0)).await?;

    let offset = upload.offset().await?;

    assert_eq!(offset, 300_000);
    old.hears_of_it().await?;
    upload
        .patch(offset, file.slice(offset..))
        .await?
        .error_for_status()?;
    let json = settled(&site, &who, upload.id()).await?;
    assert_eq!(json["sha256"], sha256(&file).as_str());
    Ok(())
}

#[tokio::test]
async fn the_newcomer_may_come_to_another_process() -> Result<()> {
    let first = Site::start()?;
    let second = first.start_beside()?;
    let who = first.who("dev@example.com", "member")?;
    let file = random_bytes(1_000_000, 42);
    let upload = Tus::create(&first.url(), &who, file.len(), "").await?;
    let mut there = upload.clone();
    there.url = upload.url.replace(&first.url(), &second.url());
    for newcomer in [Method::HEAD, Method::PATCH, Method::DELETE] {
        let offset = there.offset().await?;
        let old = stalled(&upload, offset, file.slice(offset..offset + 100_000));
        old.has_sent(100_000).await?;
        eventually("its bytes are stored", || {
            Ok(stored(&first)? == offset + 100_000)
        })
        .await?;

        let request = match newcomer {
            Method::PATCH => {
                let end = file.slice(offset + 100_000..offset + 150_000);
                there.patch(offset + 100_000, end).await?
            }
            ref other => there.request(other.clone()).send().await?,
        };

        request.error_for_status()?;
        old.hears_of_it().await?;
    }
    let gone = upload.request(Method::HEAD).send().await?;
    assert_eq!(gone.status(), StatusCode::GONE);
    Ok(())
}

#[tokio::test]
async fn giving_an_upload_up_ends_whoever_sends_it() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(500_000, 43);
    for by_key in [true, false] {
        let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
        let old = stalled(&upload, 0, file.slice(..100_000));
        old.has_sent(100_000).await?;

        let url = format!("{}/api/v1/uploads/{}", site.url(), upload.id());
        let request = if by_key {
            upload.request(Method::DELETE)
        } else {
            reqwest::Client::new().delete(url).bearer_auth(&who.token)
        };
        request.send().await?.error_for_status()?;

        // It may not have begun to hold the upload when that was removed.
        let answer = old.answer.await??.status();
        assert!(
            matches!(answer, StatusCode::LOCKED | StatusCode::GONE),
            "{answer}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_connection_of_a_stalled_sender_is_closed_though_its_body_has_no_end() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 1000, "").await?;
    let path = upload.url.trim_start_matches(&site.url());
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: {CHUNK_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
    );
    let mut socket = TcpStream::connect(site.url().trim_start_matches("http://")).await?;
    socket.write_all(head.as_bytes()).await?;
    eventually("its bytes are stored", || Ok(stored(&site)? == 5)).await?;

    assert_eq!(upload.offset().await?, 5);

    let mut answer = String::new();
    let closed = tokio::time::timeout(PATIENCE, socket.read_to_string(&mut answer));
    closed.await??;
    assert!(answer.starts_with("HTTP/1.1 423"), "{answer}");
    Ok(())
}

/// Durable bytes of the one upload there is.
fn stored(site: &Site) -> Result<usize> {
    let query = "SELECT stored_bytes::text AS value FROM uploads";
    let found = site.database().query(query)?;
    Ok(found.first().map_or(Ok(0), |value| value.parse())?)
}
