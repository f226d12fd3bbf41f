//! The server is asked to go (SIGTERM) while many watch: each is told, each is closed
//! in good order, at moments of their own, and the server goes in time.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::{Site, Tus, Viewer};

/// Viewers that come at once; more would be asked to come again, which is not what is
/// looked at here.
const COMING_AT_ONCE: usize = 32;

/// How long the server may take to go.
const GOING_MAX: Duration = Duration::from_secs(20);

/// What a viewer who is sent elsewhere is closed with.
const RESTART: u16 = 1012;

/// A campaign.
#[derive(Debug, Clone, Copy)]
pub struct Drain {
    /// Sockets that are open.
    pub viewers: usize,
}

/// What came of it; every promise was kept.
#[derive(Debug)]
pub struct Drained {
    /// How long the server took to go.
    pub took: Duration,
    /// The most viewers who were closed within one second.
    pub closed_at_once: usize,
}

impl Drain {
    /// Runs the campaign.
    ///
    /// # Errors
    /// When a promise was broken; the message says which.
    pub async fn run(self) -> Result<Drained> {
        let mut site = Site::start()?;
        let who = site.who("dev@example.com", "member")?;
        let upload = Tus::create(&site.url(), &who, 1000, "").await?;
        let topic = format!("upload:{}", upload.id());
        let viewers: Vec<Viewer> = stream::iter(0..self.viewers)
            .map(|_| async {
                let mut viewer = Viewer::connect(&site.url(), &who).await?;
                viewer.follow(&topic, None).await?;
                viewer.until(&topic, |frame| frame["t"] == "snap").await?;
                anyhow::Ok(viewer)
            })
            .buffer_unordered(COMING_AT_ONCE)
            .try_collect()
            .await?;
        let closing: Vec<_> = viewers
            .into_iter()
            .map(|mut viewer| {
                tokio::spawn(async move {
                    let (frames, code) = viewer.closed().await?;
                    anyhow::Ok((frames, code, Instant::now()))
                })
            })
            .collect();
        let going = std::thread::spawn(move || site.stop());
        let mut seconds = [0; 31];
        let began = Instant::now();
        for closing in closing {
            let (frames, code, at) = closing.await??;
            let told = frames.iter().any(|frame| frame["t"] == "drain");
            ensure!(
                told && code == RESTART,
                "a viewer was closed with {code} after {frames:?}"
            );
            let second = (at - began).as_secs();
            let count = seconds.get_mut(usize::try_from(second)?);
            *count.context("a viewer was closed much too late")? += 1;
        }
        // The last viewer is gone, so this takes a moment only.
        let Ok(ended) = going.join() else {
            bail!("waiting for the end panicked");
        };
        let (took, status) = ended?;
        ensure!(status.success(), "the server ended with {status}");
        ensure!(took <= GOING_MAX, "the server took {took:?} to go");
        Ok(Drained {
            took,
            closed_at_once: seconds.into_iter().max().unwrap_or_default(),
        })
    }
}
