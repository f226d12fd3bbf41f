//! A client that sends a file until the server has it, whatever happens on the way.
//!
//! It never believes what was not acknowledged, and it complains when something that
//! was acknowledged is no longer there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Result, bail, ensure};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt};
use reqwest::{Body, Client, Method, Response};
use serde_json::Value;

use crate::{Chance, Tus, Who, pieces, random_bytes, sha256};

/// The most that one `PATCH` brings.
pub(super) const PATCH_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// Bytes that the client hands to the network at once.
const PIECE_BYTES: usize = 64 * 1024;

/// Pause between two pieces: one sender brings at most 32 MiB a second, so that a
/// kill finds uploads under way and not behind them.
const PIECE_PAUSE: Duration = Duration::from_millis(2);

/// Tries of one request, and the pause between them: a minute in all, for a server
/// that is on its way up.
const TRIES: usize = 1200;
const TRY_PAUSE: Duration = Duration::from_millis(50);

/// How long a single request may take.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(60);

/// One file and its sender.
pub(super) struct Sender {
    site: String,
    who: Who,
    file: Bytes,
    upload: Tus,
    pub(super) count: Arc<Count>,
}

/// What a sender has done.
#[derive(Default)]
pub(super) struct Count {
    /// The highest offset that the server has told.
    pub(super) acknowledged: AtomicUsize,
    /// Bytes handed to the network.
    pub(super) sent: AtomicUsize,
}

impl Sender {
    /// Announces a file of random bytes to the server at this address.
    pub(super) async fn announce(site: &str, who: &Who, length: usize, seed: u64) -> Result<Self> {
        for _ in 0..TRIES {
            if let Ok(upload) = Tus::create(site, who, length, "").await {
                return Ok(Self {
                    site: site.to_owned(),
                    who: who.clone(),
                    file: random_bytes(length, seed),
                    upload,
                    count: Arc::default(),
                });
            }
            tokio::time::sleep(TRY_PAUSE).await;
        }
        bail!("{site} took no file for a minute");
    }

    pub(super) fn id(&self) -> String {
        self.upload.id().to_owned()
    }

    pub(super) fn length(&self) -> usize {
        self.file.len()
    }

    /// Sends all of it, in requests of random sizes.
    pub(super) async fn send(&self, mut chance: Chance) -> Result<()> {
        let mut known = None;
        loop {
            let offset = match known.take() {
                Some(offset) => offset,
                None => self.ask().await?,
            };
            let before = self.count.acknowledged.fetch_max(offset, Ordering::SeqCst);
            ensure!(
                offset >= before,
                "upload {}: {before} bytes were acknowledged, and {offset} are there",
                self.id()
            );
            if offset == self.file.len() {
                return Ok(());
            }
            let length = usize::try_from(chance.within(1..PATCH_BYTES_MAX))?;
            let end = self.file.len().min(offset + length);
            let answer = self.patch(offset, end).await;
            known = answer.ok().as_ref().and_then(offset_of);
        }
    }

    async fn patch(&self, offset: usize, end: usize) -> Result<Response> {
        let count = Arc::clone(&self.count);
        let body = pieces(self.file.slice(offset..end), PIECE_BYTES, move |bytes| {
            count.sent.fetch_add(bytes, Ordering::Relaxed);
        })
        .then(|piece| async {
            tokio::time::sleep(PIECE_PAUSE).await;
            piece
        });
        let answer = self.upload.patch(offset, Body::wrap_stream(body));
        let answer = tokio::time::timeout(REQUEST_TIME_MAX, answer).await??;
        Ok(answer.error_for_status()?)
    }

    async fn ask(&self) -> Result<usize> {
        for _ in 0..TRIES {
            let asked = self.upload.request(Method::HEAD).send().await;
            match asked {
                Ok(answer) if answer.status().is_client_error() => {
                    bail!("upload {} is lost: {}", self.id(), answer.status())
                }
                Ok(answer) if answer.status().is_success() => {
                    if let Some(offset) = offset_of(&answer) {
                        return Ok(offset);
                    }
                }
                _ => tokio::time::sleep(TRY_PAUSE).await,
            }
        }
        bail!("upload {}: nobody answered for a minute", self.id());
    }

    /// Compares the hash that the server tells and every byte that it gives back.
    pub(super) async fn verify(&self) -> Result<()> {
        let expected = sha256(&self.file);
        for _ in 0..TRIES {
            match self.read_back().await {
                Ok((told, bytes)) => {
                    ensure!(
                        told == expected,
                        "upload {}: another hash is told",
                        self.id()
                    );
                    ensure!(
                        bytes == self.file,
                        "upload {}: other bytes came back",
                        self.id()
                    );
                    return Ok(());
                }
                Err(_) => tokio::time::sleep(TRY_PAUSE).await,
            }
        }
        bail!("upload {} could not be read back for a minute", self.id());
    }

    async fn read_back(&self) -> Result<(String, Bytes)> {
        let url = format!("{}/api/v1/uploads/{}", self.site, self.id());
        let get = |url: String| {
            let request = Client::new().get(url).bearer_auth(&self.who.token);
            async { request.send().await?.error_for_status() }
        };
        let json: Value = get(url.clone()).await?.json().await?;
        ensure!(json["state"] == "stored", "it is {}", json["state"]);
        let content = get(format!("{url}/content")).await?.bytes_stream();
        let bytes: Vec<Bytes> = content.try_collect().await?;
        let told = json["sha256"].as_str().unwrap_or_default().to_owned();
        Ok((told, bytes.concat().into()))
    }

    /// Takes the file away, so that a long campaign does not fill the disk.
    pub(super) async fn remove(&self) -> Result<()> {
        for _ in 0..TRIES {
            let asked = self.upload.request(Method::DELETE).send().await;
            if asked.is_ok_and(|answer| answer.status().is_success() || answer.status() == 410) {
                return Ok(());
            }
            tokio::time::sleep(TRY_PAUSE).await;
        }
        bail!("upload {} could not be removed for a minute", self.id());
    }
}

fn offset_of(answer: &Response) -> Option<usize> {
    let offset = answer.headers().get("upload-offset")?;
    offset.to_str().ok()?.parse().ok()
}
