//! Progress of topics, read from the rows that are the truth about them.
//!
//! It never writes: a topic's sequence number rises in the transaction that
//! changes the row it belongs to.

use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::Text;
use slipway_core::{
    AccountId, AccountProgress, Epoch, JobId, JobProgress, JobSummary, Position, Progress, Seq,
    Topic, UploadProgress, UploadSummary,
};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::error::broken;
use crate::gate::at_one_moment_in_txn;
use crate::jobs::JobRow;
use crate::schema::{accounts, jobs, uploads};
use crate::uploads::{UploadRow, is_no_part};
use crate::{Db, DbError, Job, Upload};

/// Lines of a list that a viewer of an account gets.
const LIST_MAX: i64 = 50;

/// What a topic is now.
#[derive(Debug, Clone, PartialEq)]
pub enum TopicState {
    /// This.
    At(Position, Progress),
    /// There is no such thing, or not any more.
    Gone,
}

impl Db {
    /// The state of each of `topics`, all as of one moment.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn progress_read(
        &self,
        topics: Vec<Topic>,
    ) -> Result<Vec<(Topic, TopicState)>, DbError> {
        self.run("reading progress", move |connection| {
            at_one_moment_in_txn(connection)?;
            let timeline = timeline_in_txn(connection)?;
            let mut found = HashMap::with_capacity(topics.len());
            uploads_in_txn(connection, &timeline, &topics, &mut found)?;
            jobs_in_txn(connection, &timeline, &topics, &mut found)?;
            for topic in &topics {
                if let Topic::Account(id) = topic {
                    account_in_txn(connection, &timeline, *id, &mut found)?;
                }
            }
            Ok(topics
                .into_iter()
                .map(|topic| (topic, found.remove(&topic).unwrap_or(TopicState::Gone)))
                .collect())
        })
        .await
    }

    /// Tells other processes that topics have changed, as a transaction of its
    /// own: a NOTIFY inside a transaction that writes makes every commit of the
    /// whole cluster wait in line.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn progress_notify(&self, payloads: Vec<String>) -> Result<(), DbError> {
        self.run("ringing the doorbell", move |connection| {
            for payload in payloads {
                diesel::sql_query("SELECT pg_notify($1, $2)")
                    .bind::<Text, _>(crate::listen::CHANNEL)
                    .bind::<Text, _>(payload)
                    .execute(connection)?;
            }
            Ok(())
        })
        .await
    }
}

#[derive(QueryableByName)]
struct Timeline {
    #[diesel(sql_type = Text)]
    timeline: String,
}

/// Names the history that this database is in: another cluster, another
/// database or a promoted standby is another history.
fn timeline_in_txn(connection: &mut PgConnection) -> QueryResult<String> {
    diesel::sql_query(
        "SELECT substr(md5(control.system_identifier::text || '/' || here.oid::text), 1, 8) || '-' \
             || ltrim(substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8), '0') AS timeline \
         FROM pg_control_system() control, pg_database here WHERE here.datname = current_database()",
    )
    .get_result::<Timeline>(connection)
    .map(|row| row.timeline)
}

fn position(timeline: &str, attempt: i32, seq: i64) -> QueryResult<Position> {
    let seq = Seq::new(seq).ok_or(diesel::result::Error::NotFound)?;
    Ok(Position {
        epoch: Epoch::new(timeline, attempt),
        seq,
    })
}

fn uploads_in_txn(
    connection: &mut PgConnection,
    timeline: &str,
    topics: &[Topic],
    found: &mut HashMap<Topic, TopicState>,
) -> QueryResult<()> {
    let ids: Vec<Uuid> = topics
        .iter()
        .filter_map(|topic| {
            if let Topic::Upload(id) = topic {
                Some(id.to_uuid())
            } else {
                None
            }
        })
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let mut jobs_of: HashMap<Uuid, Vec<JobId>> = HashMap::new();
    let pairs: Vec<(Uuid, Uuid)> = jobs::table
        .filter(jobs::upload_id.eq_any(&ids))
        .order(jobs::id.desc())
        .select((jobs::upload_id, jobs::id))
        .load(connection)?;
    for (upload, job) in pairs {
        jobs_of
            .entry(upload)
            .or_default()
            .push(JobId::from_uuid(job));
    }
    let rows: Vec<UploadRow> = uploads::table
        .filter(uploads::id.eq_any(&ids))
        .filter(uploads::removed_at.is_null())
        .select(UploadRow::as_select())
        .load(connection)?;
    for row in rows {
        let upload = row.into_upload()?;
        let jobs = jobs_of.remove(&upload.id.to_uuid()).unwrap_or_default();
        let at = position(timeline, 0, upload.seq)?;
        found.insert(
            Topic::Upload(upload.id),
            TopicState::At(at, upload.into_progress(jobs)),
        );
    }
    Ok(())
}

fn jobs_in_txn(
    connection: &mut PgConnection,
    timeline: &str,
    topics: &[Topic],
    found: &mut HashMap<Topic, TopicState>,
) -> QueryResult<()> {
    let ids: Vec<Uuid> = topics
        .iter()
        .filter_map(|topic| {
            if let Topic::Job(id) = topic {
                Some(id.to_uuid())
            } else {
                None
            }
        })
        .collect();
    if ids.is_empty() {
        return Ok(());
    }
    let rows: Vec<JobRow> = jobs::table
        .inner_join(uploads::table)
        .filter(jobs::id.eq_any(&ids))
        .filter(uploads::removed_at.is_null())
        .select(JobRow::as_select())
        .load(connection)?;
    for row in rows {
        let job = row.into_job()?;
        let at = position(timeline, job.attempt, job.seq)?;
        found.insert(Topic::Job(job.id), TopicState::At(at, job.into_progress()));
    }
    Ok(())
}

fn account_in_txn(
    connection: &mut PgConnection,
    timeline: &str,
    id: AccountId,
    found: &mut HashMap<Topic, TopicState>,
) -> QueryResult<()> {
    let seq: Option<i64> = accounts::table
        .find(id.to_uuid())
        .select(accounts::seq)
        .first(connection)
        .optional()?;
    let Some(seq) = seq else { return Ok(()) };
    let rows: Vec<UploadRow> = uploads::table
        .filter(uploads::owner_id.eq(id.to_uuid()))
        .filter(uploads::removed_at.is_null())
        .filter(is_no_part())
        .order(uploads::id.desc())
        .limit(LIST_MAX)
        .select(UploadRow::as_select())
        .load(connection)?;
    let uploads: Vec<UploadSummary> = rows
        .into_iter()
        .map(|row| row.into_upload()?.into_summary())
        .collect::<QueryResult<_>>()?;
    let jobs: Vec<JobSummary> = jobs::table
        .filter(jobs::upload_id.eq_any(uploads.iter().map(|upload| upload.id.to_uuid())))
        .order(jobs::id.desc())
        .limit(LIST_MAX)
        .select(JobRow::as_select())
        .load(connection)?
        .into_iter()
        .map(|row: JobRow| row.into_job().map(|job| job.summary()))
        .collect::<QueryResult<_>>()?;
    let progress = Progress::Account(AccountProgress { uploads, jobs });
    found.insert(
        Topic::Account(id),
        TopicState::At(position(timeline, 0, seq)?, progress),
    );
    Ok(())
}

impl Upload {
    fn into_progress(self, jobs: Vec<JobId>) -> Progress {
        Progress::Upload(UploadProgress {
            name: self.name,
            state: self.state,
            stored: self.stored,
            total: self.total,
            rate: self.rate,
            sha256: self.sha256,
            media_type: self.media_type,
            message: self.message,
            jobs,
        })
    }

    fn into_summary(self) -> QueryResult<UploadSummary> {
        Ok(UploadSummary {
            id: self.id,
            name: self.name,
            state: self.state,
            stored: self.stored,
            total: self.total,
            created_at: self.created_at.format(&Rfc3339).map_err(broken)?,
        })
    }
}

impl Job {
    fn into_progress(self) -> Progress {
        Progress::Job(JobProgress {
            kind: self.kind,
            upload: self.upload,
            state: self.state,
            step: self.step,
            done: self.done,
            total: self.total,
            unit: self.unit,
            rate: self.rate,
            attempt: self.attempt,
            message: self.message,
        })
    }

    fn summary(&self) -> JobSummary {
        JobSummary {
            id: self.id,
            kind: self.kind,
            upload: self.upload,
            state: self.state,
        }
    }
}
