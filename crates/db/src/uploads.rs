//! Uploads as rows: announce, look up, list, remove, sweep.
//!
//! It never moves a byte or an offset; that is `upload_writes.rs`.

use std::collections::HashMap;
use std::time::Duration;

use diesel::prelude::*;
use slipway_core::{AccountId, ByteCount, Sha256Digest, StoreKind, Topic, UploadId, UploadState};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cached::Cache;
use crate::concat::follow_up_in_txn;
use crate::error::{broken, word};
use crate::gate::at_one_moment_in_txn;
use crate::jobs::jobs_of_in_txn;
use crate::schema::{accounts, uploads};
use crate::security_events::record_in_txn;
use crate::upload_room::usage_in_txn;
use crate::{Db, DbError, Job, NewEvent, Quota, Usage};

/// A file on its way in, or arrived.
#[derive(Debug, Clone, PartialEq)]
pub struct Upload {
    /// Which upload.
    pub id: UploadId,
    /// Who announced it.
    pub owner: AccountId,
    /// What its owner calls it.
    pub name: String,
    /// What it is, as announced or as found.
    pub media_type: Option<String>,
    /// The `Upload-Metadata` header as it came.
    pub metadata: String,
    /// How far it has got.
    pub state: UploadState,
    /// Size, once it is known.
    pub total: Option<ByteCount>,
    /// Bytes that are durable.
    pub stored: ByteCount,
    /// Of the whole file, once it is stored.
    pub sha256: Option<Sha256Digest>,
    /// Whether its bytes were looked at, so that `media_type` is what was found.
    pub inspected: bool,
    /// Bytes per second as they last became durable.
    pub rate: Option<u64>,
    /// Why it failed.
    pub message: Option<String>,
    /// Count of its changes.
    pub seq: i64,
    /// When it was announced.
    pub created_at: OffsetDateTime,
    /// When it left receiving.
    pub finished_at: Option<OffsetDateTime>,
    /// Until when its sender may go on.
    pub expires_at: Option<OffsetDateTime>,
    /// When it was removed.
    pub removed_at: Option<OffsetDateTime>,
    /// Where its bytes are.
    pub store: StoreKind,
    /// Whether its sender says when it is complete; else its size does.
    pub explicit_end: bool,
    /// Its part in a concatenation, as announced.
    pub concat: Option<String>,
}

impl Upload {
    /// Whether it is put together from others (tus, "Upload-Concat").
    pub fn is_final(&self) -> bool {
        is_final(self.concat.as_deref())
    }

    /// Whether it is there to become part of another.
    pub fn is_partial(&self) -> bool {
        self.concat.as_deref() == Some(PARTIAL)
    }
}

/// Whether an upload of this part in a concatenation is put together from others.
pub fn is_final(concat: Option<&str>) -> bool {
    concat.is_some_and(|text| text != PARTIAL)
}

/// True of all but what is there to become part of another file: nobody's business
/// but its sender's.
#[diesel::dsl::auto_type(no_type_alias)]
pub(crate) fn is_no_part() -> _ {
    let part: &'static str = PARTIAL;
    uploads::concat.is_distinct_from(part)
}

/// What a part is announced as.
pub(crate) const PARTIAL: &str = "partial";

/// An upload to be.
#[derive(Debug, Clone)]
pub struct NewUpload {
    /// Which upload.
    pub id: UploadId,
    /// Who announces it.
    pub owner: AccountId,
    /// What its owner calls it: 1 to 255 characters.
    pub name: String,
    /// What it is, as announced: at most 255 characters.
    pub media_type: Option<String>,
    /// The `Upload-Metadata` header as it came: at most 8 KiB.
    pub metadata: String,
    /// Where its bytes will be.
    pub store: StoreKind,
    /// Size, if it is known.
    pub total: Option<ByteCount>,
    /// Whether its sender says when it is complete; else its size does.
    pub explicit_end: bool,
    /// Its part in a concatenation, as announced: at most 8 KiB.
    pub concat: Option<String>,
    /// Size of its parts in S3, all but the last; `None` where it grows with their
    /// number, or where there are none.
    pub part_bytes: Option<ByteCount>,
    /// How long its sender may stay away.
    pub expires_after: Duration,
    /// The SHA-256 of the file, as its sender announces it.
    pub expected: Option<Sha256Digest>,
    /// The SHA-256 of a file without bytes: such a file is whole at once.
    pub whole: Option<Sha256Digest>,
    /// What its owner may have with it.
    pub quota: Quota,
}

/// What came of announcing an upload.
#[derive(Debug, Clone, PartialEq)]
pub enum Created {
    /// It is there.
    Yes(Box<Upload>),
    /// Its owner would have more than the quota allows; nothing was created. What
    /// the owner has.
    OverQuota(Usage),
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = uploads, check_for_backend(diesel::pg::Pg))]
pub(crate) struct UploadRow {
    id: Uuid,
    owner_id: Uuid,
    name: String,
    media_type: Option<String>,
    metadata: String,
    state: String,
    total_bytes: Option<i64>,
    stored_bytes: i64,
    sha256: Option<Vec<u8>>,
    #[diesel(select_expression = uploads::inspection.is_not_null())]
    inspected: bool,
    rate: Option<i64>,
    message: Option<String>,
    seq: i64,
    created_at: OffsetDateTime,
    finished_at: Option<OffsetDateTime>,
    expires_at: Option<OffsetDateTime>,
    removed_at: Option<OffsetDateTime>,
    store: String,
    explicit_end: bool,
    concat: Option<String>,
}

impl UploadRow {
    pub(crate) fn into_upload(self) -> QueryResult<Upload> {
        Ok(Upload {
            id: UploadId::from_uuid(self.id),
            owner: AccountId::from_uuid(self.owner_id),
            name: self.name,
            media_type: self.media_type,
            metadata: self.metadata,
            state: word(&self.state)?,
            total: self.total_bytes.map(bytes).transpose()?,
            stored: bytes(self.stored_bytes)?,
            sha256: digest(self.sha256)?,
            inspected: self.inspected,
            rate: self.rate.map(i64::unsigned_abs),
            message: self.message,
            seq: self.seq,
            created_at: self.created_at,
            finished_at: self.finished_at,
            expires_at: self.expires_at,
            removed_at: self.removed_at,
            store: word(&self.store)?,
            explicit_end: self.explicit_end,
            concat: self.concat,
        })
    }
}

pub(crate) fn digest(bytes: Option<Vec<u8>>) -> QueryResult<Option<Sha256Digest>> {
    bytes
        .map(|bytes| Sha256Digest::try_from(bytes.as_slice()).map_err(broken))
        .transpose()
}

pub(crate) fn bytes(count: i64) -> QueryResult<ByteCount> {
    ByteCount::try_from(count).map_err(broken)
}

/// Notes that the list of what an account may see has changed. Always the last row
/// of all that are there already which a transaction locks, so that two transactions
/// cannot wait in a ring.
pub(crate) fn touch_account_in_txn(connection: &mut PgConnection, id: Uuid) -> QueryResult<Topic> {
    diesel::update(accounts::table.find(id))
        .set(accounts::seq.eq(accounts::seq + 1))
        .cached()
        .execute(connection)?;
    Ok(Topic::Account(AccountId::from_uuid(id)))
}

/// Inserts the row of an upload.
pub(crate) fn insert_in_txn(connection: &mut PgConnection, new: &NewUpload) -> QueryResult<Upload> {
    let now = OffsetDateTime::now_utc();
    let whole = new.whole.is_some();
    let state = if whole {
        UploadState::Stored
    } else {
        UploadState::Receiving
    };
    // A part waits for the file it becomes part of, whole or not.
    let waits = !whole || new.concat.as_deref() == Some(PARTIAL);
    diesel::insert_into(uploads::table)
        .values((
            uploads::id.eq(new.id.to_uuid()),
            uploads::owner_id.eq(new.owner.to_uuid()),
            uploads::name.eq(&new.name),
            uploads::media_type.eq(&new.media_type),
            uploads::metadata.eq(&new.metadata),
            uploads::state.eq(state.as_str()),
            uploads::store.eq(new.store.as_str()),
            uploads::total_bytes.eq(new.total.map(ByteCount::to_i64)),
            uploads::explicit_end.eq(new.explicit_end),
            uploads::concat.eq(&new.concat),
            uploads::part_bytes.eq(new.part_bytes.map(ByteCount::to_i64)),
            uploads::expected_sha256.eq(new.expected.map(|digest| digest.as_bytes().to_vec())),
            uploads::sha256.eq(new.whole.map(|digest| digest.as_bytes().to_vec())),
            uploads::finished_at.eq(whole.then_some(now)),
            uploads::expires_at.eq(waits.then(|| now + new.expires_after)),
        ))
        .returning(UploadRow::as_returning())
        .get_result(connection)?
        .into_upload()
}

impl Db {
    /// Announces an upload, if its owner has room for it. One without bytes is
    /// stored at once and inspected.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_create(&self, new: NewUpload) -> Result<Created, DbError> {
        let (created, changed) = self
            .run("announcing an upload", move |connection| {
                // First, and so the lock under which the sum below is exact. No other
                // row is held here that somebody could wait for.
                let account = touch_account_in_txn(connection, new.owner.to_uuid())?;
                let usage = usage_in_txn(connection, new.owner.to_uuid())?;
                if !new.quota.has_room(&usage, new.total) {
                    return Ok((Created::OverQuota(usage), vec![]));
                }
                let upload = insert_in_txn(connection, &new)?;
                let mut changed = vec![Topic::Upload(upload.id)];
                if new.whole.is_some() {
                    let (id, concat) = (upload.id.to_uuid(), upload.concat.as_deref());
                    changed.extend(follow_up_in_txn(connection, id, concat)?);
                }
                changed.push(account);
                Ok((Created::Yes(Box::new(upload)), changed))
            })
            .await?;
        self.doorbell().ring(changed);
        Ok(created)
    }

    /// One upload, removed ones included.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_get(&self, id: UploadId) -> Result<Option<Upload>, DbError> {
        self.run_alone("reading an upload", move |connection| {
            uploads::table
                .find(id.to_uuid())
                .select(UploadRow::as_select())
                .first(connection)
                .optional()?
                .map(UploadRow::into_upload)
                .transpose()
        })
        .await
    }

    /// One upload, unless it was removed, and its jobs, newest first: both as of one
    /// moment, so that a job that is done has left its mark.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_get_with_jobs(
        &self,
        id: UploadId,
    ) -> Result<Option<(Upload, Vec<Job>)>, DbError> {
        self.run("reading an upload and its jobs", move |connection| {
            at_one_moment_in_txn(connection)?;
            let found = uploads::table
                .find(id.to_uuid())
                .filter(uploads::removed_at.is_null())
                .select(UploadRow::as_select())
                .first(connection)
                .optional()?;
            let Some(row) = found else { return Ok(None) };
            let jobs = jobs_of_in_txn(connection, std::iter::once(id))?;
            Ok(Some((row.into_upload()?, jobs)))
        })
        .await
    }

    /// An account's uploads, or everybody's, with their jobs, newest first, from the
    /// one after `after` on; all as of one moment.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_list(
        &self,
        owner: Option<AccountId>,
        after: Option<UploadId>,
        limit: u16,
    ) -> Result<Vec<(Upload, Vec<Job>)>, DbError> {
        self.run("listing uploads", move |connection| {
            at_one_moment_in_txn(connection)?;
            // No id is greater than this one.
            let before = after.map_or(Uuid::max(), UploadId::to_uuid);
            let mut listed = uploads::table
                .filter(uploads::id.lt(before))
                .filter(uploads::removed_at.is_null())
                .filter(is_no_part())
                .order(uploads::id.desc())
                .limit(limit.into())
                .select(UploadRow::as_select())
                .into_boxed();
            if let Some(owner) = owner {
                listed = listed.filter(uploads::owner_id.eq(owner.to_uuid()));
            }
            let uploads = listed
                .load(connection)?
                .into_iter()
                .map(UploadRow::into_upload)
                .collect::<QueryResult<Vec<_>>>()?;
            let mut jobs_of: HashMap<UploadId, Vec<Job>> = HashMap::new();
            for job in jobs_of_in_txn(connection, uploads.iter().map(|upload| upload.id))? {
                jobs_of.entry(job.upload).or_default().push(job);
            }
            let with_jobs = |upload: Upload| {
                let jobs = jobs_of.remove(&upload.id).unwrap_or_default();
                (upload, jobs)
            };
            Ok(uploads.into_iter().map(with_jobs).collect())
        })
        .await
    }

    /// Removes an upload; `false` when there was none to remove. Its bytes stay
    /// until they are swept, because deleting gigabytes takes longer than a
    /// request may; a connection that still sends finds itself superseded.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_remove(
        &self,
        id: UploadId,
        event: Option<NewEvent>,
    ) -> Result<bool, DbError> {
        let changed = self
            .run("removing an upload", move |connection| {
                let owner: Option<Uuid> = diesel::update(
                    uploads::table
                        .find(id.to_uuid())
                        .filter(uploads::removed_at.is_null()),
                )
                .set((
                    uploads::removed_at.eq(OffsetDateTime::now_utc()),
                    uploads::writer.eq(uploads::writer + 1),
                    uploads::seq.eq(uploads::seq + 1),
                ))
                .returning(uploads::owner_id)
                .get_result(connection)
                .optional()?;
                let Some(owner) = owner else { return Ok(None) };
                if let Some(event) = event {
                    record_in_txn(connection, event)?;
                }
                Ok(Some([
                    Topic::Upload(id),
                    touch_account_in_txn(connection, owner)?,
                ]))
            })
            .await?;
        let removed = changed.is_some();
        self.doorbell().ring(changed.into_iter().flatten());
        Ok(removed)
    }

    /// Gives up uploads whose sender stayed away; says how many.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_expire(&self) -> Result<usize, DbError> {
        let changed = self
            .run("expiring uploads", |connection| {
                let now = OffsetDateTime::now_utc();
                let expired: Vec<(Uuid, Uuid)> = diesel::update(
                    uploads::table
                        .filter(uploads::state.eq(UploadState::Receiving.as_str()))
                        .filter(uploads::expires_at.le(now)),
                )
                .set((
                    uploads::state.eq(UploadState::Expired.as_str()),
                    uploads::finished_at.eq(now),
                    uploads::writer.eq(uploads::writer + 1),
                    uploads::seq.eq(uploads::seq + 1),
                ))
                .returning((uploads::id, uploads::owner_id))
                .get_results(connection)?;
                let mut changed = Vec::with_capacity(expired.len() * 2);
                for (id, owner) in expired {
                    changed.push(Topic::Upload(UploadId::from_uuid(id)));
                    changed.push(touch_account_in_txn(connection, owner)?);
                }
                Ok(changed)
            })
            .await?;
        let expired = changed.len() / 2;
        self.doorbell().ring(changed);
        Ok(expired)
    }
}
