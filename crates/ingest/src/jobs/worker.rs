//! The loop that works jobs: claim, do, settle.
//!
//! It is the same in a worker process and inside the web process. It decides
//! what becomes of an attempt; a job only says how it ended.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};
use slipway_core::JobKind;
use slipway_db::{LeasedJob, Settlement};
use tokio::sync::watch;

use super::reporter::{Interrupted, LEASE, Reporter};
use super::{assemble, housekeeping, inspect};
use crate::Ingest;

/// How often to look for jobs that another process has enqueued.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause after a failed attempt, doubled for each that went before.
const RETRY_PAUSE_FIRST: Duration = Duration::from_secs(2);
const RETRY_PAUSE_LONGEST: Duration = Duration::from_secs(300);

/// Tries to record how an attempt ended; after that its lease runs out and
/// another worker takes the job over.
const SETTLE_TRIES: u32 = 3;

/// Tells a worker to stop: no new job, the one in hand is put back.
#[derive(Debug, Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// A switch that has not been thrown.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Throws it.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Default for Stop {
    fn default() -> Self {
        Self::new()
    }
}

/// Works jobs, as many at once as configured, and tidies up, until told to stop.
pub async fn work(ingest: Ingest, stop: Stop) {
    let receiver = stop.0.subscribe();
    let workers =
        (0..ingest.settings.jobs.at_once).map(|_| work_one_by_one(&ingest, receiver.clone()));
    join(
        join_all(workers),
        housekeeping::run(&ingest, receiver.clone()),
    )
    .await;
}

async fn work_one_by_one(ingest: &Ingest, mut stop: watch::Receiver<bool>) {
    while !*stop.borrow() {
        match ingest.db.job_claim(LEASE).await {
            Ok(Some(leased)) => {
                attempt(ingest, leased, stop.clone()).await;
                continue;
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "looking for a job failed; it is tried again"),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = ingest.enqueued.notified() => {}
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

async fn attempt(ingest: &Ingest, leased: LeasedJob, stop: watch::Receiver<bool>) {
    let (lease, id) = (leased.lease, leased.lease.job());
    tracing::info!(job = %id, attempt = lease.attempt(), "job {id} begins: {}", leased.kind);
    let time_limit = ingest.settings.jobs.time_limit;
    let mut reporter = Reporter::new(ingest.db.clone(), lease, stop, time_limit);
    let doing = async {
        match leased.kind {
            JobKind::Assemble => assemble::run(ingest, leased.upload, &mut reporter).await,
            JobKind::Inspect => {
                inspect::run(ingest, leased.upload, leased.checkpoint, &mut reporter).await
            }
        }
    };
    // A panic costs this attempt and nothing else.
    let ended = AssertUnwindSafe(doing)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(Interrupted::Broke(anyhow::anyhow!("the job panicked"))));
    let settlement = match ended {
        Ok(settlement) => settlement,
        Err(Interrupted::Cancelled) => Settlement::Cancelled,
        Err(Interrupted::Stopping) => Settlement::Released,
        Err(Interrupted::LeaseLost) => {
            tracing::warn!(job = %id, "job {id} was taken over by another worker");
            return;
        }
        Err(interrupted @ Interrupted::TimeLimit(_)) => Settlement::Broke {
            message: interrupted.to_string(),
            pause: pause_after(lease.attempt()),
        },
        Err(Interrupted::Broke(fault)) => {
            tracing::error!(job = %id, fault = format!("{fault:#}"), "job {id} broke");
            let message = "something broke on our side".to_owned();
            Settlement::Broke {
                message,
                pause: pause_after(lease.attempt()),
            }
        }
    };
    settle(ingest, &leased.lease, settlement).await;
}

async fn settle(ingest: &Ingest, lease: &slipway_db::Lease, settlement: Settlement) {
    let id = lease.job();
    for _ in 0..SETTLE_TRIES {
        match ingest.db.job_settle(*lease, settlement.clone()).await {
            Ok(true) => {
                tracing::info!(job = %id, "job {id} settled");
                return;
            }
            Ok(false) => {
                tracing::warn!(job = %id, "job {id} was taken over by another worker");
                return;
            }
            Err(error) => {
                tracing::warn!(job = %id, %error, "job {id} could not be settled");
                tokio::time::sleep(LOOK_EVERY).await;
            }
        }
    }
}

fn pause_after(attempt: i32) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or_default()
        .min(10);
    (RETRY_PAUSE_FIRST * 2_u32.pow(doublings)).min(RETRY_PAUSE_LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_have_a_longest() {
        let pauses = [1, 2, 3, 4, 100].map(|attempt| pause_after(attempt).as_secs());

        assert_eq!(pauses, [2, 4, 8, 16, 300]);
    }
}
