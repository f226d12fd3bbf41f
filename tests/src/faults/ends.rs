//! The server is asked to go (SIGTERM) in the middle of a request: what it has
//! received is kept, and it goes in time and in good order.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::{CHUNK_TYPE, Chance, Site, Tus, random_bytes, sha256};

/// Sizes of what is sent before the end: less than a chunk up to several.
const SENT_BYTES: std::ops::Range<u64> = 1..4_000_000;

/// How long the sender is silent before the end. By then the server has read what
/// was sent, and of a part it has not made a chunk yet.
const SILENCE_MILLISECONDS: std::ops::Range<u64> = 300..900;

/// How long the server may take to go.
const GOING_MAX: Duration = Duration::from_secs(20);

/// A campaign.
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    /// How often the server is asked to go.
    pub ends: usize,
    /// Repeats the run, but for what the machine does.
    pub seed: u64,
}

/// What came of it; every promise was kept.
#[derive(Debug)]
pub struct Ended {
    /// The longest that the server took to go.
    pub longest: Duration,
    /// Bytes that were under way and kept.
    pub kept: usize,
}

impl Ends {
    /// Runs the campaign.
    ///
    /// # Errors
    /// When a promise was broken; the message says which.
    pub async fn run(self) -> Result<Ended> {
        let mut site = Site::start()?;
        let who = site.who("dev@example.com", "member")?;
        let mut chance = Chance::new(self.seed);
        let mut ended = Ended {
            longest: Duration::ZERO,
            kept: 0,
        };
        for end in 1..=self.ends {
            let sent = usize::try_from(chance.within(SENT_BYTES))?;
            let file = random_bytes(sent + 1000, chance.number());
            let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
            let _socket = send_part(&site, &upload, &file, sent).await?;
            let silence = chance.within(SILENCE_MILLISECONDS);
            tokio::time::sleep(Duration::from_millis(silence)).await;
            let (took, status) = site.stop()?;
            ensure!(
                status.success(),
                "end {end}: the server ended with {status}"
            );
            ensure!(
                took <= GOING_MAX,
                "end {end}: the server took {took:?} to go"
            );
            site.run()?;
            let kept = upload.offset().await?;
            ensure!(
                kept == sent,
                "end {end}: {sent} bytes were received, and {kept} are kept (seed {})",
                self.seed
            );
            let rest = upload.patch(kept, file.slice(kept..)).await?;
            rest.error_for_status()?;
            let told = told_sha256(&site, &who.token, upload.id()).await?;
            ensure!(told == sha256(&file), "end {end}: another hash is told");
            ended.longest = ended.longest.max(took);
            ended.kept += kept;
        }
        Ok(ended)
    }
}

/// Begins a `PATCH` with the rest of the file and sends only a part of it.
async fn send_part(site: &Site, upload: &Tus, file: &[u8], part: usize) -> Result<TcpStream> {
    let url = site.url();
    let path = upload.url.strip_prefix(&url).context("another site")?;
    let head = format!(
        "PATCH {path} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n\
         Content-Type: {CHUNK_TYPE}\r\nContent-Length: {}\r\n\r\n",
        file.len()
    );
    let mut socket = TcpStream::connect(url.trim_start_matches("http://")).await?;
    socket.write_all(head.as_bytes()).await?;
    socket.write_all(&file[..part]).await?;
    Ok(socket)
}

async fn told_sha256(site: &Site, token: &str, id: &str) -> Result<String> {
    let url = format!("{}/api/v1/uploads/{id}", site.url());
    let answer = reqwest::Client::new().get(url).bearer_auth(token).send();
    let json: serde_json::Value = answer.await?.error_for_status()?.json().await?;
    Ok(json["sha256"].as_str().unwrap_or_default().to_owned())
}
