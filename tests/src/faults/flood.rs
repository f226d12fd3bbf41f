//! A flood of sign-ins while files come in: memory stays bounded, everybody is answered,
//! and the uploads hardly notice.
//!
//! It never judges by time; how long chunks took, with the flood and without, is
//! reported to whoever compares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use reqwest::Client;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use crate::{Site, Tus, Who, random_bytes};

/// Files that come in at once, and what each request brings.
const SENDERS: u64 = 4;
const CHUNK_BYTES: usize = 256 * 1024;

/// Between two chunks of a sender, as a line of some 20 Mbit/s has it.
const CHUNK_EVERY: Duration = Duration::from_millis(100);

/// What a flood may add to the memory of the server: two hashes of 19 MiB, and a
/// connection and a task for each that waits.
const ADDED_MAX: u64 = 96 * 1024 * 1024;

/// A campaign.
#[derive(Debug, Clone, Copy)]
pub struct Flood {
    /// Sign-ins a second, however slowly they are answered.
    pub rate: u32,
    /// How long the flood lasts; for as long before it, uploads have the server to
    /// themselves.
    pub lasts: Duration,
    /// Whether each sign-in comes from another network, for another account.
    pub scattered: bool,
}

/// What came of it; every promise was kept.
#[derive(Debug)]
pub struct Flooded {
    /// The 99th percentile of a chunk's time before the flood, and in it.
    pub calm: Duration,
    /// In it.
    pub flooded: Duration,
    /// How many chunks that is.
    pub chunks: usize,
    /// Answers to sign-ins by status.
    pub answers: BTreeMap<u16, u64>,
    /// What the server's memory has grown by.
    pub added: u64,
}

impl Flood {
    /// Runs the campaign.
    ///
    /// # Errors
    /// When a promise was broken; the message says which.
    pub async fn run(self) -> Result<Flooded> {
        let site = Site::start_with(&[("SLIPWAY__SERVER__ROUTER", "present")])?;
        let who = site.who("dev@example.com", "member")?;
        // The first chunks pay for connections and caches.
        chunks(&site, &who, Duration::from_secs(1)).await?;
        let calm = chunks(&site, &who, self.lasts).await?;
        let before = site.memory("VmRSS")?;
        let done = Arc::new(AtomicBool::new(false));
        let flood = tokio::spawn(self.sign_ins(site.url(), Arc::clone(&done)));
        let flooded = chunks(&site, &who, self.lasts).await;
        done.store(true, Ordering::Relaxed);
        let answers = flood.await??;
        let flooded = flooded?;
        let added = site.memory("VmHWM")?.saturating_sub(before);
        ensure!(added <= ADDED_MAX, "the flood took {added} bytes of memory");
        for status in answers.keys() {
            ensure!(
                [401, 429, 503].contains(status),
                "a sign-in was answered {status}: {answers:?}"
            );
        }
        Ok(Flooded {
            calm: p99(&calm)?,
            flooded: p99(&flooded)?,
            chunks: flooded.len(),
            answers,
            added,
        })
    }

    /// Signs in wrongly at the rate until it is done; the answers by status.
    async fn sign_ins(self, url: String, done: Arc<AtomicBool>) -> Result<BTreeMap<u16, u64>> {
        let client = Client::new();
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / self.rate);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        let mut waiting = JoinSet::new();
        let mut number = 0_u32;
        while !done.load(Ordering::Relaxed) {
            ticks.tick().await;
            number += 1;
            let who = if self.scattered { number } else { 0 };
            // A /24 for each.
            let [_, a, b, c] = who.to_be_bytes();
            let guess = json!({"email": format!("{who}@example.com"), "password": "wrong horse"});
            let asked = client
                .post(format!("{url}/api/v1/session"))
                .header("X-Forwarded-For", format!("{}.{b}.{c}.1", 20 + a))
                .json(&guess)
                .send();
            waiting.spawn(asked);
        }
        let mut answers = BTreeMap::new();
        while let Some(answer) = waiting.join_next().await {
            *answers.entry(answer??.status().as_u16()).or_insert(0) += 1;
        }
        Ok(answers)
    }
}

/// Sends chunks for so long, and reads what came of every file; how long each took.
async fn chunks(site: &Site, who: &Who, lasts: Duration) -> Result<Vec<Duration>> {
    let mut senders = JoinSet::new();
    for seed in 0..SENDERS {
        let chunk = random_bytes(CHUNK_BYTES, seed);
        senders.spawn(sender(site.url(), who.clone(), chunk, lasts));
    }
    let mut took = Vec::new();
    while let Some(sent) = senders.join_next().await {
        took.extend(sent??);
    }
    Ok(took)
}

async fn sender(url: String, who: Who, chunk: Bytes, lasts: Duration) -> Result<Vec<Duration>> {
    let rounds = usize::try_from(lasts.as_millis() / CHUNK_EVERY.as_millis())?;
    let upload = Tus::create(&url, &who, rounds * chunk.len(), "").await?;
    let mut ticks = tokio::time::interval(CHUNK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut took = Vec::with_capacity(rounds);
    for round in 0..rounds {
        ticks.tick().await;
        let began = Instant::now();
        let sent = upload.patch(round * chunk.len(), chunk.clone()).await?;
        sent.error_for_status().context("a chunk was refused")?;
        took.push(began.elapsed());
    }
    Ok(took)
}

fn p99(took: &[Duration]) -> Result<Duration> {
    let mut sorted = took.to_vec();
    sorted.sort_unstable();
    let index = sorted.len().saturating_sub(1) * 99 / 100;
    sorted.get(index).copied().context("no chunk was sent")
}
