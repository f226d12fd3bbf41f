//! The one room for what would keep a request thread from serving: hashing of files,
//! hashing of passwords, reading and writing of files.
//!
//! It never touches the database; that has a gate of its own.

use std::sync::Arc;

use anyhow::{Context, Result};
use tokio::sync::Semaphore;

/// Password hashes computed at once. Each takes 19 MiB, and a flood of sign-ins
/// must not take the memory that uploads need: 2 x 19 MiB = 38 MiB.
const PASSWORDS_AT_ONCE: usize = 2;

/// Sign-ins that may wait for their turn: at some 50 ms each, two at once, the
/// last of 64 waits two seconds. More are told to come back.
const PASSWORDS_WAITING_MAX: usize = 64;

/// Pieces of work on files at once. They wait for the disk more than they compute, and
/// a disk does several things at once; beyond this they would wait there instead.
const DISK_AT_ONCE: usize = 8;

/// Too many wait already.
#[derive(Debug, thiserror::Error)]
#[error("too many sign-ins are waiting")]
pub(crate) struct Crowded;

/// Bounds on computation. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Compute {
    hashes: Arc<Semaphore>,
    disk: Arc<Semaphore>,
    passwords: Arc<Semaphore>,
    passwords_waiting: Arc<Semaphore>,
}

impl Compute {
    /// Hashes on at most `threads` threads at once.
    pub(crate) fn new(threads: usize) -> Self {
        Self {
            hashes: Arc::new(Semaphore::new(threads.max(1))),
            disk: Arc::new(Semaphore::new(DISK_AT_ONCE)),
            passwords: Arc::new(Semaphore::new(PASSWORDS_AT_ONCE)),
            passwords_waiting: Arc::new(Semaphore::new(PASSWORDS_WAITING_MAX)),
        }
    }

    /// Runs a piece of file hashing: about a millisecond for each MiB.
    pub(crate) async fn hash<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        run(&self.hashes, work).await
    }

    /// Runs a piece of work on files: about a millisecond for each MiB, some more for
    /// what must be on the disk.
    pub(crate) async fn disk<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        run(&self.disk, work).await
    }

    /// Runs a piece of password hashing: tens of milliseconds. Refuses with
    /// [`Crowded`] when too many wait.
    pub(crate) async fn password<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T> {
        let _waiting = self.passwords_waiting.try_acquire().or(Err(Crowded))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_of_sign_ins_is_refused_and_not_collected() {
        let compute = Compute::new(1);
        let (open, opened) = tokio::sync::watch::channel(false);
        let waiting: Vec<_> = (0..PASSWORDS_WAITING_MAX)
            .map(|_| {
                let (compute, opened) = (compute.clone(), opened.clone());
                let hashing = move || {
                    while !*opened.borrow() {
                        std::thread::yield_now()
                    }
                };
                tokio::spawn(async move { compute.password(hashing).await })
            })
            .collect();
        while compute.passwords_waiting.available_permits() > 0 {
            tokio::task::yield_now().await;
        }

        let refused = compute.password(|| ()).await;

        assert!(refused.is_err_and(|error| error.is::<Crowded>()));
        open.send_replace(true);
        for waiter in waiting {
            waiter.await.unwrap().expect("those who wait are served");
        }
    }
}
