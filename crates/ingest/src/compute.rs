//! The one room for computation that would keep a request thread from serving:
//! hashing of files, hashing of passwords.
//!
//! It never touches the database; that has a gate of its own.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;

/// Password hashes computed at once. Each takes 19 MiB, and a flood of sign-ins
/// must not take the memory that uploads need: 2 x 19 MiB = 38 MiB.
const PASSWORDS_AT_ONCE: usize = 2;

/// Bounds on computation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Compute {
    hashes: Arc<Semaphore>,
    passwords: Arc<Semaphore>,
}

impl Compute {
    /// Hashes on at most `threads` threads at once.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            hashes: Arc::new(Semaphore::new(threads.max(1))),
            passwords: Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)),
        }
    }

    /// Runs a piece of file hashing: about a millisecond for each MiB.
    pub(crate) async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        run(&self.hashes, work).await
    }

    /// Runs a piece of password hashing: tens of milliseconds.
    pub(crate) async fn password<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        run(&self.passwords, work).await
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "this is one of the two rooms for blocking work"
)]
async fn run<T: Send + 'static>(
    bound: &Semaphore,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T> {
    let _permit = bound.acquire().await.context("waiting for a thread")?;
    tokio::task::spawn_blocking(work).await.context("computing")
}
