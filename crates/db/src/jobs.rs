//! Jobs as everybody but their worker sees them: enqueue, look up, cancel, retry.
//!
//! It never runs one: leases are `job_leases.rs`.

use diesel::prelude::*;
use slipway_core::{AccountId, JobId, JobKind, JobState, Topic, UploadId};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::word;
use crate::schema::{jobs, uploads};
use crate::uploads::touch_account_in_txn;
use crate::{Db, DbError};

/// A piece of work.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    /// Which job.
    pub id: JobId,
    /// The file it works on.
    pub upload: UploadId,
    /// What it does.
    pub kind: JobKind,
    /// How far it has got.
    pub state: JobState,
    /// What it is busy with.
    pub step: Option<String>,
    /// How much is done, in `unit`.
    pub done: u64,
    /// How much there is to do, once it is known.
    pub total: Option<u64>,
    /// What `done` counts.
    pub unit: String,
    /// Units per second, lately.
    pub rate: Option<u64>,
    /// Which try this is.
    pub attempt: i32,
    /// Its outcome, for a person.
    pub message: Option<String>,
    /// Count of its changes.
    pub seq: i64,
    /// When it was asked for.
    pub created_at: OffsetDateTime,
    /// When its first attempt began.
    pub started_at: Option<OffsetDateTime>,
    /// When it came to rest.
    pub finished_at: Option<OffsetDateTime>,
}

/// What came of asking a job to change.
#[derive(Debug, Clone, PartialEq)]
pub enum JobChange {
    /// It changed, or will as soon as its worker looks.
    Accepted(Box<Job>),
    /// Its state does not allow that.
    NotNow(Box<Job>),
    /// No job has this id.
    Missing,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = jobs, check_for_backend(diesel::pg::Pg))]
pub(crate) struct JobRow {
    id: Uuid,
    upload_id: Uuid,
    kind: String,
    state: String,
    step: Option<String>,
    done: i64,
    total: Option<i64>,
    unit: String,
    rate: Option<i64>,
    attempt: i32,
    message: Option<String>,
    seq: i64,
    created_at: OffsetDateTime,
    started_at: Option<OffsetDateTime>,
    finished_at: Option<OffsetDateTime>,
}

impl JobRow {
    pub(crate) fn into_job(self) -> QueryResult<Job> {
        Ok(Job {
            id: JobId::from_uuid(self.id),
            upload: UploadId::from_uuid(self.upload_id),
            kind: word(&self.kind)?,
            state: word(&self.state)?,
            step: self.step,
            done: self.done.unsigned_abs(),
            total: self.total.map(i64::unsigned_abs),
            unit: self.unit,
            rate: self.rate.map(i64::unsigned_abs),
            attempt: self.attempt,
            message: self.message,
            seq: self.seq,
            created_at: self.created_at,
            started_at: self.started_at,
            finished_at: self.finished_at,
        })
    }
}

/// Enqueues work on a file.
pub(crate) fn enqueue_in_txn(
    connection: &mut PgConnection,
    upload: Uuid,
    kind: JobKind,
) -> QueryResult<JobId> {
    let id = JobId::new();
    diesel::insert_into(jobs::table)
        .values((
            jobs::id.eq(id.to_uuid()),
            jobs::upload_id.eq(upload),
            jobs::kind.eq(kind.as_str()),
        ))
        .execute(connection)?;
    Ok(id)
}

/// The jobs of some uploads, newest first.
pub(crate) fn jobs_of_in_txn(
    connection: &mut PgConnection,
    uploads: impl Iterator<Item = UploadId>,
) -> QueryResult<Vec<Job>> {
    jobs::table
        .filter(jobs::upload_id.eq_any(uploads.map(UploadId::to_uuid)))
        .order(jobs::id.desc())
        .select(JobRow::as_select())
        .load(connection)?
        .into_iter()
        .map(JobRow::into_job)
        .collect()
}

/// Notes in the list of whoever owns a job's file that the job changed state.
pub(crate) fn touch_owner_in_txn(
    connection: &mut PgConnection,
    upload: UploadId,
) -> QueryResult<Topic> {
    let owner: Uuid = uploads::table
        .find(upload.to_uuid())
        .select(uploads::owner_id)
        .first(connection)?;
    touch_account_in_txn(connection, owner)
}

impl Db {
    /// One job and the owner of its file.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_get(&self, id: JobId) -> Result<Option<(Job, AccountId)>, DbError> {
        self.run("reading a job", move |connection| {
            jobs::table
                .inner_join(uploads::table)
                .filter(jobs::id.eq(id.to_uuid()))
                .filter(uploads::removed_at.is_null())
                .select((JobRow::as_select(), uploads::owner_id))
                .first::<(JobRow, Uuid)>(connection)
                .optional()?
                .map(|(row, owner)| Ok((row.into_job()?, AccountId::from_uuid(owner))))
                .transpose()
        })
        .await
    }

    /// An account's jobs, or everybody's, newest first, from the one after `after` on.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_list(
        &self,
        owner: Option<AccountId>,
        after: Option<JobId>,
        limit: u16,
    ) -> Result<Vec<Job>, DbError> {
        self.run("listing jobs", move |connection| {
            let before = after.map_or(Uuid::max(), JobId::to_uuid);
            let mut listed = jobs::table
                .inner_join(uploads::table)
                .filter(uploads::removed_at.is_null())
                .filter(jobs::id.lt(before))
                .order(jobs::id.desc())
                .limit(limit.into())
                .select(JobRow::as_select())
                .into_boxed();
            if let Some(owner) = owner {
                listed = listed.filter(uploads::owner_id.eq(owner.to_uuid()));
            }
            listed
                .load(connection)?
                .into_iter()
                .map(JobRow::into_job)
                .collect()
        })
        .await
    }

    /// Cancels a job: at once if nobody works on it, else at the worker's next report.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_cancel(&self, id: JobId) -> Result<JobChange, DbError> {
        self.job_change("cancelling a job", id, |connection, job| {
            let row = jobs::table.find(job.id.to_uuid());
            match job.state {
                JobState::Queued => diesel::update(row)
                    .set((
                        jobs::state.eq(JobState::Cancelled.as_str()),
                        jobs::finished_at.eq(OffsetDateTime::now_utc()),
                        jobs::seq.eq(jobs::seq + 1),
                    ))
                    .execute(connection),
                JobState::Running => diesel::update(row)
                    .set(jobs::cancelling.eq(true))
                    .execute(connection),
                JobState::Done | JobState::Refused | JobState::Failed | JobState::Cancelled => {
                    Ok(0)
                }
            }
        })
        .await
    }

    /// Puts a job that came to rest without success back into the queue.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn job_retry(&self, id: JobId) -> Result<JobChange, DbError> {
        self.job_change("retrying a job", id, |connection, job| {
            if !job.state.may_become(JobState::Queued) || job.state.is_active() {
                return Ok(0);
            }
            diesel::update(jobs::table.find(job.id.to_uuid()))
                .set((
                    jobs::state.eq(JobState::Queued.as_str()),
                    jobs::attempts_max.eq(jobs::attempts_max + 1),
                    jobs::run_after.eq(OffsetDateTime::now_utc()),
                    jobs::finished_at.eq(None::<OffsetDateTime>),
                    jobs::message.eq(None::<String>),
                    jobs::cancelling.eq(false),
                    jobs::seq.eq(jobs::seq + 1),
                ))
                .execute(connection)
        })
        .await
    }

    async fn job_change(
        &self,
        doing: &'static str,
        id: JobId,
        change: impl FnOnce(&mut PgConnection, &Job) -> QueryResult<usize> + Send + 'static,
    ) -> Result<JobChange, DbError> {
        let (outcome, changed) = self
            .run(doing, move |connection| {
                let find = |connection: &mut PgConnection| {
                    jobs::table
                        .find(id.to_uuid())
                        .select(JobRow::as_select())
                        .for_update()
                        .first(connection)
                        .optional()?
                        .map(JobRow::into_job)
                        .transpose()
                };
                let Some(job) = find(connection)? else {
                    return Ok((JobChange::Missing, vec![]));
                };
                if change(connection, &job)? == 0 {
                    return Ok((JobChange::NotNow(Box::new(job)), vec![]));
                }
                let changed = vec![Topic::Job(id), touch_owner_in_txn(connection, job.upload)?];
                let job = find(connection)?.unwrap_or(job);
                Ok((JobChange::Accepted(Box::new(job)), changed))
            })
            .await?;
        self.doorbell().ring(changed);
        Ok(outcome)
    }
}
