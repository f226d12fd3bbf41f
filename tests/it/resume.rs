//! Interruptions of every kind: what was acknowledged stays, and it goes on.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Result;
use futures_util::{StreamExt, stream};
use reqwest::{Body, StatusCode};
use slipway_tests::{CHUNK_TYPE, Site, Tus, pieces, random_bytes, sha256};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::{eventually, settled};

/// One `PATCH` of a careful client.
const PIECE: usize = 8 * 1024 * 1024;

#[tokio::test]
async fn an_upload_survives_a_server_that_is_killed_three_times() -> Result<()> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(64 * 1024 * 1024, 2);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    let sent = Arc::new(AtomicUsize::new(0));
    let mut kills = 0;
    let mut offset = 0;

    while offset < file.len() {
        let piece = file.slice(offset..file.len().min(offset + PIECE));
        let count = Arc::clone(&sent);
        let body = pieces(piece, 64 * 1024, move |bytes| {
            count.fetch_add(bytes, Ordering::Relaxed);
        });
        let patching = tokio::spawn({
            let upload = upload.clone();
            async move { upload.patch(offset, Body::wrap_stream(body)).await }
        });
        if kills < 3 && offset >= (kills + 1) * PIECE {
            let before = sent.load(Ordering::Relaxed);
            eventually("a quarter of the piece is sent", || {
                Ok(sent.load(Ordering::Relaxed) >= before + PIECE / 4 || patching.is_finished())
            })
            .await?;
            site.kill()?;
            site.run()?;
            kills += 1;
        }
        // Whatever became of the request, the server is asked where it stands.
        drop(patching.await?);
        let acknowledged = upload.offset().await?;
        assert!(acknowledged >= offset, "acknowledged bytes were lost");
        offset = acknowledged;
    }

    let json = settled(&site, &who, upload.id()).await?;
    assert_eq!(
        (&json["state"], &json["sha256"]),
        (&"stored".into(), &sha256(&file).into())
    );
    let again = sent.load(Ordering::Relaxed) - file.len();
    assert!(
        again <= kills * PIECE,
        "{again} bytes were sent again after {kills} kills"
    );
    Ok(())
}

#[tokio::test]
async fn every_byte_that_arrived_before_a_connection_broke_is_kept() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(3_000_000, 3);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    let path = upload.url.trim_start_matches(&site.url());
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: {CHUNK_TYPE}\r\nContent-Length: {}\r\n\r\n",
        file.len()
    );
    let mut socket = TcpStream::connect(site.url().trim_start_matches("http://")).await?;
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&file[..2_000_000]).await?;

    drop(socket);

    // Looking would end the connection that still delivers; the row is asked.
    eventually("all bytes are stored", || {
        Ok(stored(&site, upload.id())? == 2_000_000)
    })
    .await?;
    upload
        .patch(2_000_000, file.slice(2_000_000..))
        .await?
        .error_for_status()?;
    let json = settled(&site, &who, upload.id()).await?;
    assert_eq!(json["sha256"], sha256(&file).as_str());
    Ok(())
}

#[tokio::test]
async fn a_server_that_is_asked_to_go_keeps_what_has_arrived() -> Result<()> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(2_500_000, 4);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let first = pieces(file.slice(..1_500_000), 10_000, move |bytes| {
        count.fetch_add(bytes, Ordering::Relaxed);
    });
    // Then the sender stalls with the connection open.
    let stalled = first.chain(stream::pending());
    let patching = tokio::spawn({
        let upload = upload.clone();
        async move { upload.patch(0, Body::wrap_stream(stalled)).await }
    });
    eventually("the bytes are sent", || {
        Ok(sent.load(Ordering::Relaxed) == 1_500_000)
    })
    .await?;

    let (_, status) = site.stop()?;

    assert!(status.success(), "{status}");
    drop(patching.await?);
    site.run()?;
    let offset = upload.offset().await?;
    assert!(offset <= 1_500_000, "{offset} bytes cannot have arrived");
    upload
        .patch(offset, file.slice(offset..))
        .await?
        .error_for_status()?;
    assert_eq!(
        settled(&site, &who, upload.id()).await?["sha256"],
        sha256(&file).as_str()
    );
    Ok(())
}

#[tokio::test]
async fn a_newcomer_takes_over_from_a_stalled_connection_whose_late_bytes_never_land() -> Result<()>
{
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(3_000_000, 5);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    let (resume, resumed) = tokio::sync::oneshot::channel::<()>();
    let garbage = random_bytes(1_500_000, 99);
    let late = stream::once(async move {
        drop(resumed.await);
        Ok::<_, std::io::Error>(garbage)
    });
    let stalled = pieces(file.slice(..1_500_000), 64 * 1024, |_| {}).chain(late);
    let old = tokio::spawn({
        let upload = upload.clone();
        async move { upload.patch(0, Body::wrap_stream(stalled)).await }
    });
    eventually("some bytes are stored", || {
        Ok(stored(&site, upload.id())? > 0)
    })
    .await?;

    let offset = upload.offset().await?;
    upload
        .patch(offset, file.slice(offset..))
        .await?
        .error_for_status()?;
    // The old connection wakes up and sends what it still had.
    drop(resume);
    if let Ok(answer) = old.await? {
        assert_eq!(answer.status(), StatusCode::LOCKED);
    }

    let json = settled(&site, &who, upload.id()).await?;
    assert_eq!(
        (&json["state"], &json["sha256"]),
        (&"stored".into(), &sha256(&file).into())
    );
    Ok(())
}

#[tokio::test]
async fn a_hash_that_was_put_aside_and_cannot_be_read_is_made_again() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(2_000_000, 6);
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
    upload
        .patch(0, file.slice(..1_200_000))
        .await?
        .error_for_status()?;
    site.database()
        .execute("UPDATE uploads SET hash_state = '\\x6e6f7065'")?;

    upload
        .patch(1_200_000, file.slice(1_200_000..))
        .await?
        .error_for_status()?;

    assert_eq!(
        settled(&site, &who, upload.id()).await?["sha256"],
        sha256(&file).as_str()
    );
    Ok(())
}

fn stored(site: &Site, id: &str) -> Result<u64> {
    let query = format!("SELECT stored_bytes::text AS value FROM uploads WHERE id = '{id}'");
    Ok(site
        .database()
        .query(&query)?
        .first()
        .map_or(Ok(0), |value| value.parse())?)
}
