//! One large file while the server is killed three times: what has to be sent again,
//! and what memory it takes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use reqwest::{Body, Client};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use slipway_tests::{Site, Tus, Who, pieces, random_bytes};

/// One `PATCH` of a careful client, and so the most that a kill may cost.
const PIECE: usize = 8 * 1024 * 1024;

const FILE_PIECES: usize = 256;
const KILLS: usize = 3;

/// Resident memory that an upload may add to an idle server.
const ADDED_MEMORY_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// How long the inspection of the file may take.
const INSPECTION_SECONDS_MAX: u64 = 300;

/// Runs the campaign; its one case.
pub(crate) async fn run() -> Result<Vec<Value>> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let idle = site.memory("VmRSS")?;
    let began = Instant::now();
    let upload = Tus::create(&site.url(), &who, FILE_PIECES * PIECE, "").await?;
    let sent = Arc::new(AtomicUsize::new(0));
    let mut peak = 0;
    let (mut killed, mut offset) = (0, 0);
    while offset < FILE_PIECES * PIECE {
        let body = rest_of_piece(offset);
        let count = Arc::clone(&sent);
        let body = pieces(body, 64 * 1024, move |bytes| {
            count.fetch_add(bytes, Ordering::Relaxed);
        });
        let before = sent.load(Ordering::Relaxed);
        let patching = tokio::spawn({
            let upload = upload.clone();
            async move { upload.patch(offset, Body::wrap_stream(body)).await }
        });
        if killed < KILLS && offset / PIECE >= (killed + 1) * FILE_PIECES / (KILLS + 1) {
            while sent.load(Ordering::Relaxed) < before + PIECE / 2 && !patching.is_finished() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            peak = peak.max(site.memory("VmHWM")?);
            site.kill()?;
            site.run()?;
            killed += 1;
        }
        // Whatever became of the request, the server is asked where it stands.
        drop(patching.await?);
        let acknowledged = upload.offset().await?;
        ensure!(
            acknowledged >= offset,
            "acknowledged bytes were lost: {acknowledged} < {offset}"
        );
        offset = acknowledged;
    }
    let uploaded = began.elapsed();
    peak = peak.max(site.memory("VmHWM")?);
    let settled = settled(&site, &who, upload.id()).await?;
    ensure!(
        settled["sha256"] == sha256_of_file().as_str(),
        "the hash differs: {settled}"
    );
    let again = sent.load(Ordering::Relaxed) - FILE_PIECES * PIECE;
    Ok(vec![json!({
        "case": format!("{FILE_PIECES} x 8 MiB, {KILLS} kills"),
        "figures": {
            "seconds": {"value": uploaded.as_secs_f64(), "unit": "s"},
            "sent_again": {"value": again, "unit": "bytes"},
            "idle_memory": {"value": idle, "unit": "bytes"},
            "peak_memory": {"value": peak, "unit": "bytes"},
        },
        "reference": "one piece a kill; 64 MiB above idle",
        "ratio": again as f64 / (KILLS * PIECE) as f64,
        "bar": 1.0,
        "holds": again <= KILLS * PIECE && peak - idle <= ADDED_MEMORY_BYTES_MAX,
    })])
}

fn piece(number: usize) -> Bytes {
    random_bytes(PIECE, number as u64 + 1)
}

fn rest_of_piece(offset: usize) -> Bytes {
    piece(offset / PIECE).slice(offset % PIECE..)
}

fn sha256_of_file() -> String {
    let mut hash = Sha256::new();
    for number in 0..FILE_PIECES {
        hash.update(piece(number));
    }
    hash.finalize()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

async fn settled(site: &Site, who: &Who, id: &str) -> Result<Value> {
    let url = format!("{}/api/v1/uploads/{id}", site.url());
    for _ in 0..INSPECTION_SECONDS_MAX {
        let json: Value = Client::new()
            .get(&url)
            .bearer_auth(&who.token)
            .send()
            .await?
            .json()
            .await?;
        if json["jobs"][0]["state"] == "done" {
            return Ok(json);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    bail!("the inspection did not end\n{}", site.log())
}
