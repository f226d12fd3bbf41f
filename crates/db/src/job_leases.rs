//! Jobs as their worker sees them: claim, report, settle, all under a lease.
//!
//! The attempt number is the fence: a worker that lost its lease finds that
//! nothing it reports or settles matches a row any more.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Timestamptz;
use slipway_core::{JobId, JobKind, JobState, Sha256Digest, Topic, UploadId, UploadState};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::concat::follow_up_in_txn;
use crate::error::word;
use crate::jobs::touch_owner_in_txn;
use crate::schema::{jobs, uploads};
use crate::uploads::PARTIAL;
use crate::{Db, DbError};

/// Leave to work on one attempt at a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    job: JobId,
    attempt: i32,
}

impl Lease {
    /// The job.
    pub fn job(&self) -> JobId {
        self.job
    }

    /// Which try this is, from 1.
    pub fn attempt(&self) -> i32 {
        self.attempt
    }
}

/// A job that this worker is to do.
#[derive(Debug, Clone, PartialEq)]
pub struct LeasedJob {
    /// Leave to do it.
    pub lease: Lease,
    /// What to do.
    pub kind: JobKind,
    /// With which file.
    pub upload: UploadId,
    /// Tries that are left after this one.
    pub attempts_left: i32,
    /// Where the attempt before stopped.
    pub checkpoint: Option<serde_json::Value>,
}

/// How far a worker has got.
#[derive(Debug, Clone, Default)]
pub struct Reported {
    /// What it is busy with.
    pub step: String,
    /// How much is done.
    pub done: u64,
    /// How much there is to do, once it is known.
    pub total: Option<u64>,
    /// Units per second, lately.
    pub rate: Option<u64>,
    /// Where another attempt would go on; `None` keeps the last.
    pub checkpoint: Option<serde_json::Value>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum Settlement {
    /// The file is what it should be, and this is what is in it.
    Inspected {
        /// Its hash; with it the upload is stored, if it was not before.
        sha256: Sha256Digest,
        /// What it is.
        media_type: Option<String>,
        /// What was found.
        findings: serde_json::Value,
        /// For a person.
        message: String,
    },
    /// It is done, and there is nothing to note about the file.
    Done {
        /// For a person.
        message: String,
    },
    /// The file cannot be trusted: the upload has failed.
    UploadFailed {
        /// For a person.
        message: String,
    },
    /// The job must not or cannot be done.
    Refused {
        /// For a person.
        message: String,
    },
    /// It broke; another try may be made after a pause, if any is left.
    Broke {
        /// For a person.
        message: String,
        /// How long to wait.
        pause: Duration,
    },
    /// Somebody asked for it to stop.
    Cancelled,
    /// The worker is going down; this try does not count.
    Released,
}

impl Db {
    /// Leases the job that has waited longest, or one whose worker has gone
    /// silent; `None` when there is nothing to do.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_claim(&self, lease_for: Duration) -> Result<Option<LeasedJob>, DbError> {
        let outcome = self
            .run("claiming a job", move |connection| {
                let now = now_in_txn(connection)?;
                // SKIP LOCKED: two workers never wait for each other.
                let free = jobs::state
                    .eq(JobState::Queued.as_str())
                    .and(jobs::run_after.le(now));
                let silent = jobs::state
                    .eq(JobState::Running.as_str())
                    .and(jobs::lease_until.lt(now));
                let id: Option<Uuid> = jobs::table
                    .filter(free.or(silent.assume_not_null()))
                    .filter(jobs::attempt.lt(jobs::attempts_max))
                    // What a newer release knows is left to its workers.
                    .filter(jobs::kind.eq_any(JobKind::ALL.iter().map(|kind| kind.as_str())))
                    .order(jobs::run_after)
                    .select(jobs::id)
                    .for_update()
                    .skip_locked()
                    .first(connection)
                    .optional()?;
                let Some(id) = id else { return Ok(None) };
                let (attempt, attempts_max, kind, upload, checkpoint) =
                    diesel::update(jobs::table.find(id))
                        .set((
                            jobs::state.eq(JobState::Running.as_str()),
                            jobs::attempt.eq(jobs::attempt + 1),
                            jobs::lease_until.eq(now + lease_for),
                            jobs::started_at.eq(diesel::dsl::sql("COALESCE(started_at, now())")),
                            jobs::message.eq(None::<String>),
                            jobs::seq.eq(jobs::seq + 1),
                        ))
                        .returning((
                            jobs::attempt,
                            jobs::attempts_max,
                            jobs::kind,
                            jobs::upload_id,
                            jobs::checkpoint,
                        ))
                        .get_result::<(i32, i32, String, Uuid, Option<serde_json::Value>)>(
                            connection,
                        )?;
                let leased = LeasedJob {
                    lease: Lease {
                        job: JobId::from_uuid(id),
                        attempt,
                    },
                    kind: word(&kind)?,
                    upload: UploadId::from_uuid(upload),
                    attempts_left: attempts_max - attempt,
                    checkpoint,
                };
                let changed = [
                    Topic::Job(leased.lease.job),
                    touch_owner_in_txn(connection, leased.upload)?,
                ];
                Ok(Some((leased, changed)))
            })
            .await?;
        Ok(outcome.map(|(leased, changed)| {
            self.doorbell().ring(changed);
            leased
        }))
    }

    /// Renews a lease and publishes how far the work has got. `None` when the
    /// lease is lost; else whether somebody has asked for the job to stop.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_report(
        &self,
        lease: Lease,
        reported: Reported,
        lease_for: Duration,
    ) -> Result<Option<bool>, DbError> {
        let cancelling = self
            .run("reporting on a job", move |connection| {
                let now = now_in_txn(connection)?;
                let count = |units: u64| i64::try_from(units).unwrap_or(i64::MAX);
                let cancelling: Option<bool> = diesel::update(held(lease))
                    .set((
                        jobs::step.eq(reported.step),
                        jobs::done.eq(count(reported.done)),
                        jobs::total.eq(reported.total.map(count)),
                        jobs::rate.eq(reported.rate.map(count)),
                        jobs::lease_until.eq(now + lease_for),
                        jobs::seq.eq(jobs::seq + 1),
                    ))
                    .returning(jobs::cancelling)
                    .get_result(connection)
                    .optional()?;
                if let (Some(_), Some(checkpoint)) = (cancelling, reported.checkpoint) {
                    diesel::update(held(lease))
                        .set(jobs::checkpoint.eq(checkpoint))
                        .execute(connection)?;
                }
                Ok(cancelling)
            })
            .await?;
        if cancelling.is_some() {
            self.doorbell().ring([Topic::Job(lease.job)]);
        }
        Ok(cancelling)
    }

    /// Ends an attempt. `false` when the lease was lost: then nothing changed.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_settle(&self, lease: Lease, settlement: Settlement) -> Result<bool, DbError> {
        let changed = self
            .run("settling a job", move |connection| {
                let Some(upload) = settle_in_txn(connection, lease, &settlement)? else {
                    return Ok(vec![]);
                };
                let mut changed = vec![Topic::Job(lease.job)];
                let is_stored = matches!(settlement, Settlement::Inspected { .. })
                    && waits_as_part_in_txn(connection, upload)?;
                if mark_upload_in_txn(connection, upload, settlement)? {
                    changed.push(Topic::Upload(upload));
                }
                if is_stored {
                    let id = upload.to_uuid();
                    changed.extend(follow_up_in_txn(connection, id, Some(PARTIAL))?);
                }
                changed.push(touch_owner_in_txn(connection, upload)?);
                Ok(changed)
            })
            .await?;
        let settled = !changed.is_empty();
        self.doorbell().ring(changed);
        Ok(settled)
    }

    /// Fails jobs whose workers went silent and that have no try left; says how many.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_abandon(&self) -> Result<usize, DbError> {
        let changed = self
            .run("abandoning jobs", |connection| {
                let now = now_in_txn(connection)?;
                let abandoned: Vec<(Uuid, Uuid)> = diesel::update(
                    jobs::table
                        .filter(jobs::state.eq(JobState::Running.as_str()))
                        .filter(jobs::lease_until.lt(now))
                        .filter(jobs::attempt.ge(jobs::attempts_max)),
                )
                .set((
                    jobs::state.eq(JobState::Failed.as_str()),
                    jobs::lease_until.eq(None::<OffsetDateTime>),
                    jobs::finished_at.eq(now),
                    jobs::message.eq("its worker stopped answering, at the last try too"),
                    jobs::seq.eq(jobs::seq + 1),
                ))
                .returning((jobs::id, jobs::upload_id))
                .get_results(connection)?;
                let mut changed = Vec::with_capacity(abandoned.len() * 2);
                for (job, upload) in abandoned {
                    changed.push(Topic::Job(JobId::from_uuid(job)));
                    changed.push(touch_owner_in_txn(connection, UploadId::from_uuid(upload))?);
                }
                Ok(changed)
            })
            .await?;
        let abandoned = changed.len() / 2;
        self.doorbell().ring(changed);
        Ok(abandoned)
    }
}

/// The database's clock. Leases are compared with it and no other: the clocks of
/// two machines differ by more than a lease forgives.
fn now_in_txn(connection: &mut PgConnection) -> QueryResult<OffsetDateTime> {
    diesel::select(diesel::dsl::now.into_sql::<Timestamptz>()).get_result(connection)
}

/// The row of a job, if `lease` still holds.
#[diesel::dsl::auto_type(no_type_alias)]
fn held(lease: Lease) -> _ {
    let id: Uuid = lease.job.to_uuid();
    let attempt: i32 = lease.attempt;
    let running: &'static str = JobState::Running.as_str();
    jobs::table
        .find(id)
        .filter(jobs::attempt.eq(attempt))
        .filter(jobs::state.eq(running))
}

/// Moves the job's row; `None` when the lease is lost, else the job's file.
fn settle_in_txn(
    connection: &mut PgConnection,
    lease: Lease,
    settlement: &Settlement,
) -> QueryResult<Option<UploadId>> {
    let now = now_in_txn(connection)?;
    let (tries_more, attempts_max): (bool, i32) = match held(lease)
        .select((jobs::attempt.lt(jobs::attempts_max), jobs::attempts_max))
        .for_update()
        .first(connection)
        .optional()?
    {
        Some(row) => row,
        None => return Ok(None),
    };
    let (state, message, run_after, attempts_max) = match settlement {
        Settlement::Inspected { message, .. } | Settlement::Done { message } => {
            (JobState::Done, Some(message), now, attempts_max)
        }
        Settlement::UploadFailed { message } | Settlement::Refused { message } => {
            (JobState::Refused, Some(message), now, attempts_max)
        }
        Settlement::Broke { message, pause } if tries_more => {
            (JobState::Queued, Some(message), now + *pause, attempts_max)
        }
        Settlement::Broke { message, .. } => (JobState::Failed, Some(message), now, attempts_max),
        Settlement::Cancelled => (JobState::Cancelled, None, now, attempts_max),
        // The number of the try must stay unique, so one more is granted.
        Settlement::Released => (JobState::Queued, None, now, attempts_max + 1),
    };
    diesel::update(held(lease))
        .set((
            jobs::state.eq(state.as_str()),
            jobs::message.eq(message),
            jobs::run_after.eq(run_after),
            jobs::attempts_max.eq(attempts_max),
            jobs::lease_until.eq(None::<OffsetDateTime>),
            jobs::rate.eq(None::<i64>),
            jobs::cancelling.eq(false),
            jobs::finished_at.eq((!state.is_active()).then_some(now)),
            jobs::seq.eq(jobs::seq + 1),
        ))
        .returning(jobs::upload_id)
        .get_result::<Uuid>(connection)
        .optional()
        .map(|upload| upload.map(UploadId::from_uuid))
}

/// Whether the upload is a part, whole, that nobody could use before its inspection.
fn waits_as_part_in_txn(connection: &mut PgConnection, upload: UploadId) -> QueryResult<bool> {
    let waits = uploads::table
        .find(upload.to_uuid())
        .filter(uploads::state.eq(UploadState::Verifying.as_str()))
        .filter(uploads::concat.eq(PARTIAL));
    let found = waits
        .select(uploads::id)
        .for_no_key_update()
        .first::<Uuid>(connection);
    Ok(found.optional()?.is_some())
}

/// Writes what the job found out about its file; whether there was anything.
fn mark_upload_in_txn(
    connection: &mut PgConnection,
    upload: UploadId,
    settlement: Settlement,
) -> QueryResult<bool> {
    let row = uploads::table.find(upload.to_uuid());
    let marked = match settlement {
        Settlement::Inspected {
            sha256,
            media_type,
            findings,
            ..
        } => diesel::update(row)
            .set((
                uploads::state.eq(UploadState::Stored.as_str()),
                uploads::sha256.eq(sha256.as_bytes().as_slice()),
                uploads::media_type.eq(media_type),
                uploads::inspection.eq(findings),
                uploads::seq.eq(uploads::seq + 1),
            ))
            .execute(connection)?,
        Settlement::UploadFailed { message } => diesel::update(row)
            .set((
                uploads::state.eq(UploadState::Failed.as_str()),
                uploads::message.eq(message),
                uploads::seq.eq(uploads::seq + 1),
            ))
            .execute(connection)?,
        Settlement::Done { .. }
        | Settlement::Refused { .. }
        | Settlement::Broke { .. }
        | Settlement::Cancelled
        | Settlement::Released => 0,
    };
    Ok(marked == 1)
}
