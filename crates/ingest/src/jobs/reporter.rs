//! Telling how far a job has got, and hearing whether to go on.
//!
//! It lets few reports through to the database and always the last one; it never
//! decides how the attempt is settled.

use std::time::Duration;

use anyhow::Context;
use slipway_db::{Db, Lease, Reported};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::speed::Speed;

/// Without a report for so long, another worker may take the job over. Ten
/// times the longest batch.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// Reports to the database are at least this far apart: four a second.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// Checkpoints are at least this far apart: what a killed worker's successor
/// does again.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(2);

/// Why a job has to stop in mid-work.
#[derive(Debug, thiserror::Error)]
pub(super) enum Interrupted {
    /// Somebody asked for it.
    #[error("cancelled")]
    Cancelled,
    /// The process is going down.
    #[error("the worker is going down")]
    Stopping,
    /// It took longer than an attempt may.
    #[error("it took longer than {} s", .0.as_secs())]
    TimeLimit(Duration),
    /// Another worker has the job.
    #[error("another worker has the job")]
    LeaseLost,
    /// Something broke.
    #[error(transparent)]
    Broke(#[from] anyhow::Error),
}

/// One attempt's line to the outside.
pub(super) struct Reporter {
    db: Db,
    lease: Lease,
    stop: watch::Receiver<bool>,
    began: Instant,
    time_limit: Duration,
    reported_at: Option<Instant>,
    checkpoint_at: Instant,
    speed: Speed,
    measured: (Instant, u64),
}

/// Where an attempt stands.
pub(super) struct Standing {
    pub(super) step: &'static str,
    pub(super) done: u64,
    pub(super) total: Option<u64>,
}

impl Reporter {
    pub(super) fn new(
        db: Db,
        lease: Lease,
        stop: watch::Receiver<bool>,
        time_limit: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            db,
            lease,
            stop,
            began: now,
            time_limit,
            reported_at: None,
            checkpoint_at: now,
            speed: Speed::default(),
            measured: (now, 0),
        }
    }

    /// Passes on where the work stands, if it is time to, with a checkpoint if it
    /// is time for one. To be called between two batches.
    pub(super) async fn at(
        &mut self,
        standing: Standing,
        checkpoint: impl FnOnce() -> serde_json::Value,
    ) -> Result<(), Interrupted> {
        let now = Instant::now();
        if now - self.began > self.time_limit {
            return Err(Interrupted::TimeLimit(self.time_limit));
        }
        let stopping = *self.stop.borrow();
        let last = standing.total == Some(standing.done);
        let due = self.reported_at.is_none_or(|at| now - at >= REPORT_EVERY);
        if !(due || last || stopping) {
            return Ok(());
        }
        self.measure(now, standing.done);
        let with_checkpoint = stopping || now - self.checkpoint_at >= CHECKPOINT_EVERY;
        if with_checkpoint {
            self.checkpoint_at = now;
        }
        let reported = Reported {
            step: standing.step.to_owned(),
            done: standing.done,
            total: standing.total,
            rate: self.speed.per_second(),
            checkpoint: with_checkpoint.then(checkpoint),
        };
        self.reported_at = Some(now);
        let answer = self
            .db
            .job_report(self.lease, reported, LEASE)
            .await
            .context("reporting on the job")?;
        match answer {
            None => Err(Interrupted::LeaseLost),
            Some(true) => Err(Interrupted::Cancelled),
            Some(false) if stopping => Err(Interrupted::Stopping),
            Some(false) => Ok(()),
        }
    }

    fn measure(&mut self, now: Instant, done: u64) {
        let (since, before) = self.measured;
        // The first measure only marks where a resumed attempt begins.
        if self.reported_at.is_some() && done > before {
            self.speed.moved(done - before, now - since);
        }
        self.measured = (now, done);
    }
}
