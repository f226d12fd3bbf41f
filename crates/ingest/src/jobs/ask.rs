//! What people ask of jobs: stop, or try again.
//!
//! It never stops a job by force: the worker looks between two batches.

use anyhow::Context;
use slipway_core::{Action, JobId, JobState};
use slipway_db::{Job, JobChange};

use crate::{Caller, Denied, Ingest};

/// Why a job was not changed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// There is none, at least not for this caller.
    #[error("there is no such job")]
    Missing,
    /// Its state does not allow that.
    #[error("the job is {0}")]
    NotNow(JobState),
    /// The caller may not change jobs.
    #[error(transparent)]
    NotAllowed(#[from] Denied),
    /// Something broke on our side.
    #[error("the job could not be changed")]
    Fault(#[from] anyhow::Error),
}

impl Ingest {
    /// Cancels a job: at once if it waits, soon if it runs.
    ///
    /// # Errors
    /// When it is not there for the caller, has come to rest, or on a fault.
    pub async fn cancel_job(&self, caller: &Caller, id: JobId) -> Result<Job, JobError> {
        self.may_change(caller, id).await?;
        changed(self.db.job_cancel(id).await.context("cancelling the job")?)
    }

    /// Puts a job that did not succeed back into the queue.
    ///
    /// # Errors
    /// When it is not there for the caller, waits, runs or succeeded, or on a fault.
    pub async fn retry_job(&self, caller: &Caller, id: JobId) -> Result<Job, JobError> {
        self.may_change(caller, id).await?;
        let job = changed(self.db.job_retry(id).await.context("retrying the job")?)?;
        self.enqueued.notify_one();
        Ok(job)
    }

    async fn may_change(&self, caller: &Caller, id: JobId) -> Result<(), JobError> {
        caller.may(Action::JobChange)?;
        match self.db.job_get(id).await.context("finding the job")? {
            Some((_, owner)) if caller.may_reach(owner) => Ok(()),
            _ => Err(JobError::Missing),
        }
    }
}

fn changed(change: JobChange) -> Result<Job, JobError> {
    match change {
        JobChange::Accepted(job) => Ok(*job),
        JobChange::NotNow(job) => Err(JobError::NotNow(job.state)),
        JobChange::Missing => Err(JobError::Missing),
    }
}
