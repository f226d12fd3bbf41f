//! A commit that goes on while the next bytes are gathered and written: waiting for a
//! disk to sync would otherwise stop the sender every few MiB.
//!
//! There is never more than one, so commits are in order, and it acknowledges nothing:
//! whoever answers a sender has landed it first.

use std::sync::Arc;

use anyhow::{Context, Result};
use slipway_db::{Advanced, Claim};
use tokio::task::JoinHandle;

use crate::stores::{Step, Stores};

/// The commit under way, if there is one.
#[derive(Default)]
pub(super) struct Behind(Option<JoinHandle<Result<Advanced>>>);

impl Behind {
    /// Begins a commit; the one before must have landed.
    pub(super) fn begin(stores: Arc<Stores>, claim: Claim, step: Step) -> Self {
        let commit = async move { stores.of(claim.store()).commit(claim, step).await };
        Self(Some(tokio::spawn(commit)))
    }

    /// Waits for its end; `None` when none was under way.
    pub(super) async fn land(&mut self) -> Result<Option<Advanced>> {
        match self.0.take() {
            None => Ok(None),
            Some(commit) => commit.await.context("a commit panicked")?.map(Some),
        }
    }
}
