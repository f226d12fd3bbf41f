//! Two servers on one database behind a bad network that sends each connection to
//! one of them by chance and cuts it at a random byte.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;

use anyhow::{Result, ensure};

use super::sender::Sender;
use crate::proxy::Weather;
use crate::{Chance, Proxy, Site};

/// A connection is cut after so many bytes at most: several chunks, or none.
const BYTES_BEFORE_CUT_MAX: u64 = 6_000_000;

/// One piece in so many waits.
const PAUSE_ONCE_IN: u64 = 50;

/// A campaign.
#[derive(Debug, Clone, Copy)]
pub struct Two {
    /// Files on their way at once.
    pub files: usize,
    /// The size of each.
    pub file_bytes: usize,
    /// Repeats the run, but for what the machine does.
    pub seed: u64,
}

impl Weathered {
    /// The most that may have to be sent again: what a connection may bring before it
    /// is cut, for each that was.
    pub fn sent_again_max(&self) -> usize {
        let before_cut = usize::try_from(BYTES_BEFORE_CUT_MAX).unwrap_or(usize::MAX);
        self.cuts.saturating_mul(before_cut)
    }
}

/// What came of it; every promise was kept.
#[derive(Debug)]
pub struct Weathered {
    /// Connections that were cut.
    pub cuts: usize,
    /// Connections that each server got.
    pub connections: Vec<usize>,
    /// Bytes handed to the network beyond those of the files.
    pub sent_again: usize,
}

impl Two {
    /// Runs the campaign.
    ///
    /// # Errors
    /// When a promise was broken; the message says which.
    pub async fn run(self) -> Result<Weathered> {
        let one = Site::start()?;
        let other = one.start_beside()?;
        let who = one.who("dev@example.com", "member")?;
        let address = |site: &Site| site.url().trim_start_matches("http://").parse();
        let servers: Vec<SocketAddr> = vec![address(&one)?, address(&other)?];
        let weather = Weather {
            bytes_before_cut_max: BYTES_BEFORE_CUT_MAX,
            pause_once_in: PAUSE_ONCE_IN,
            seed: self.seed,
        };
        let proxy = Proxy::before(servers, weather).await?;
        let mut chance = Chance::new(self.seed);
        let mut sending = Vec::with_capacity(self.files);
        for _ in 0..self.files {
            let (seed, length) = (chance.number(), self.file_bytes);
            let sender = Sender::announce(&proxy.url(), &who, length, seed).await?;
            let chance = Chance::new(chance.number());
            sending.push(tokio::spawn(async move {
                sender.send(chance).await?;
                sender.verify().await?;
                anyhow::Ok(sender.count.sent.load(Ordering::SeqCst))
            }));
        }
        let mut sent = 0;
        for sending in sending {
            sent += sending.await??;
        }
        let connections = proxy.connections();
        ensure!(
            connections.iter().all(|count| *count > 0),
            "one of the servers was never asked: {connections:?}"
        );
        Ok(Weathered {
            cuts: proxy.cuts(),
            connections,
            sent_again: sent - self.files * self.file_bytes,
        })
    }
}
