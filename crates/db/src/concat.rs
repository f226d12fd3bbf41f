//! Files that are put together from others: announced, made ready, read, tidied up.
//!
//! It never copies a byte: that is a job, which advances a file like any sender.
//! Rows are locked in one order, whoever comes: part, file, account.

use std::time::Duration;

use diesel::prelude::*;
use slipway_core::{ByteCount, JobKind, StoreKind, Topic, UploadId, UploadState};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::word;
use crate::jobs::enqueue_in_txn;
use crate::schema::{upload_parts, uploads};
use crate::upload_room::usage_in_txn;
use crate::uploads::{PARTIAL, UploadRow, bytes, insert_in_txn, touch_account_in_txn};
use crate::{Created, Db, DbError, NewUpload};

/// A part of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The upload.
    pub id: UploadId,
    /// Its size.
    pub total: ByteCount,
    /// Where its bytes are.
    pub store: StoreKind,
    /// Whether its bytes are still there.
    pub is_kept: bool,
}

/// What came of announcing a file that is put together from others.
#[derive(Debug, Clone, PartialEq)]
pub enum FinalCreated {
    /// As for any other file.
    Done(Created),
    /// One of the parts is none, or not of this owner, or can never be whole.
    NoSuchPart,
    /// Together they have so many bytes, which are too many.
    TooLarge(ByteCount),
}

/// A part as far as the sum goes.
type Summand = (Uuid, Option<i64>, String);

/// Id, size, store, state, removal.
type PartRow = (Uuid, Option<i64>, String, String, Option<OffsetDateTime>);

/// What follows when an upload has become whole: a part may be the one that others
/// waited for, any other file is inspected.
pub(crate) fn follow_up_in_txn(
    connection: &mut PgConnection,
    id: Uuid,
    concat: Option<&str>,
) -> QueryResult<Vec<Topic>> {
    if concat != Some(PARTIAL) {
        let job = enqueue_in_txn(connection, id, JobKind::Inspect)?;
        return Ok(vec![Topic::Job(job)]);
    }
    let waiting: Vec<Uuid> = upload_parts::table
        .filter(upload_parts::part_id.eq(id))
        .select(upload_parts::final_id)
        .distinct()
        .load(connection)?;
    let mut changed = Vec::new();
    for file in waiting {
        changed.extend(make_ready_in_txn(connection, file)?);
    }
    Ok(changed)
}

/// Has a file put together if all its parts are whole. Two parts that become whole
/// at once take the file's row in turns, so that the later one sees the other.
fn make_ready_in_txn(connection: &mut PgConnection, file: Uuid) -> QueryResult<Vec<Topic>> {
    let waits = uploads::table
        .find(file)
        .filter(uploads::state.eq(UploadState::Receiving.as_str()))
        .filter(uploads::removed_at.is_null());
    let found = waits
        .select(uploads::id)
        .for_update()
        .first::<Uuid>(connection);
    if found.optional()?.is_none() {
        return Ok(vec![]);
    }
    let summands: Vec<(Option<i64>, String)> = upload_parts::table
        .inner_join(uploads::table)
        .filter(upload_parts::final_id.eq(file))
        .select((uploads::total_bytes, uploads::state))
        .load(connection)?;
    let is_whole = |(_, state): &(Option<i64>, String)| state == UploadState::Stored.as_str();
    if !summands.iter().all(is_whole) {
        return Ok(vec![]);
    }
    let total: i64 = summands.iter().filter_map(|(total, _)| *total).sum();
    diesel::update(uploads::table.find(file))
        .set((
            uploads::state.eq(UploadState::Verifying.as_str()),
            uploads::total_bytes.eq(total),
            uploads::expires_at.eq(None::<OffsetDateTime>),
            uploads::seq.eq(uploads::seq + 1),
        ))
        .execute(connection)?;
    let job = enqueue_in_txn(connection, file, JobKind::Assemble)?;
    Ok(vec![
        Topic::Upload(UploadId::from_uuid(file)),
        Topic::Job(job),
    ])
}

/// The parts in their order, the same one as often as it is named; `None` if one of
/// them is none. Locked, so that none becomes whole before the file is there.
fn parts_in_txn(
    connection: &mut PgConnection,
    owner: Uuid,
    ids: &[Uuid],
) -> QueryResult<Option<Vec<Summand>>> {
    let found: Vec<Summand> = uploads::table
        .filter(uploads::id.eq_any(ids))
        .filter(uploads::owner_id.eq(owner))
        .filter(uploads::concat.eq(PARTIAL))
        .filter(uploads::removed_at.is_null())
        .filter(uploads::state.eq_any([
            UploadState::Receiving.as_str(),
            // Whole, and on its way into its store; the file waits for it.
            UploadState::Verifying.as_str(),
            UploadState::Stored.as_str(),
        ]))
        .order(uploads::id)
        .select((uploads::id, uploads::total_bytes, uploads::state))
        .for_share()
        .load(connection)?;
    let part = |id: &Uuid| found.iter().find(|(found, ..)| found == id).cloned();
    Ok(ids.iter().map(part).collect())
}

impl Db {
    /// Announces a file that is put together from `parts`, once they are all whole.
    /// They make room for it: what they have counts only once.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_create_final(
        &self,
        mut new: NewUpload,
        parts: Vec<UploadId>,
        bytes_max: ByteCount,
    ) -> Result<FinalCreated, DbError> {
        let (created, changed) = self
            .run("announcing a concatenation", move |connection| {
                let owner = new.owner.to_uuid();
                let ids: Vec<Uuid> = parts.into_iter().map(UploadId::to_uuid).collect();
                let Some(parts) = parts_in_txn(connection, owner, &ids)? else {
                    return Ok((FinalCreated::NoSuchPart, vec![]));
                };
                new.total = match sum(&parts)? {
                    Some(total) if total > bytes_max => {
                        return Ok((FinalCreated::TooLarge(total), vec![]));
                    }
                    total => total,
                };
                let file = new.id.to_uuid();
                let account = touch_account_in_txn(connection, owner)?;
                let mut usage = usage_in_txn(connection, owner)?;
                let distinct = distinct_bytes(&parts);
                usage.bytes = bytes(usage.bytes.since(distinct).try_into().unwrap_or(i64::MAX))?;
                if !new.quota.has_room(&usage, new.total) {
                    return Ok((FinalCreated::Done(Created::OverQuota(usage)), vec![]));
                }
                insert_in_txn(connection, &new)?;
                let rows: Vec<_> = (0_i32..)
                    .zip(&ids)
                    .map(|(position, part)| {
                        (
                            upload_parts::final_id.eq(file),
                            upload_parts::position.eq(position),
                            upload_parts::part_id.eq(*part),
                        )
                    })
                    .collect();
                diesel::insert_into(upload_parts::table)
                    .values(rows)
                    .execute(connection)?;
                let mut changed = make_ready_in_txn(connection, file)?;
                changed.extend([Topic::Upload(new.id), account]);
                let upload = uploads::table
                    .find(file)
                    .select(UploadRow::as_select())
                    .first(connection)?
                    .into_upload()?;
                let created = Created::Yes(Box::new(upload));
                Ok((FinalCreated::Done(created), changed))
            })
            .await?;
        self.doorbell().ring(changed);
        Ok(created)
    }

    /// What a file is put together from, in order.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_parts(&self, file: UploadId) -> Result<Vec<Part>, DbError> {
        self.run("reading the parts of a file", move |connection| {
            let rows: Vec<PartRow> = upload_parts::table
                .inner_join(uploads::table)
                .filter(upload_parts::final_id.eq(file.to_uuid()))
                .order(upload_parts::position)
                .select((
                    uploads::id,
                    uploads::total_bytes,
                    uploads::store,
                    uploads::state,
                    uploads::removed_at,
                ))
                .load(connection)?;
            let part = |(id, total, store, state, removed_at): PartRow| {
                Ok(Part {
                    id: UploadId::from_uuid(id),
                    total: bytes(total.unwrap_or_default())?,
                    store: word(&store)?,
                    is_kept: removed_at.is_none() && state == UploadState::Stored.as_str(),
                })
            };
            rows.into_iter().map(part).collect()
        })
        .await
    }

    /// Lets the parts of a file that is whole go, after `keep`: a client that missed
    /// the answer may name them once more.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_parts_release(
        &self,
        file: UploadId,
        keep: Duration,
    ) -> Result<(), DbError> {
        self.run("letting parts go", move |connection| {
            let until = OffsetDateTime::now_utc() + keep;
            let parts = upload_parts::table
                .filter(upload_parts::final_id.eq(file.to_uuid()))
                .select(upload_parts::part_id);
            diesel::update(
                uploads::table
                    .filter(uploads::id.eq_any(parts))
                    .filter(uploads::concat.eq(PARTIAL))
                    .filter(uploads::expires_at.gt(until)),
            )
            .set(uploads::expires_at.eq(until))
            .execute(connection)?;
            Ok(())
        })
        .await
    }

    /// Removes parts whose time has run out and that no file waits for; says how
    /// many. Nothing but a part is ever removed by time once it is whole.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_parts_expire(&self) -> Result<usize, DbError> {
        self.run("removing parts", |connection| {
            let now = OffsetDateTime::now_utc();
            let (part, file) = diesel::alias!(uploads as part, uploads as file);
            let needed = upload_parts::table
                .inner_join(file.on(file.field(uploads::id).eq(upload_parts::final_id)))
                .filter(file.field(uploads::removed_at).is_null())
                .filter(file.field(uploads::state).eq_any([
                    UploadState::Receiving.as_str(),
                    UploadState::Verifying.as_str(),
                ]))
                .filter(upload_parts::part_id.eq(part.field(uploads::id)));
            let due: Vec<Uuid> = part
                // Spelt as in the index, which is used only then.
                .filter(part.field(uploads::concat).eq(PARTIAL))
                .filter(part.field(uploads::state).eq(UploadState::Stored.as_str()))
                .filter(part.field(uploads::removed_at).is_null())
                .filter(part.field(uploads::expires_at).le(now))
                .filter(diesel::dsl::not(diesel::dsl::exists(needed)))
                .select(part.field(uploads::id))
                .load(connection)?;
            diesel::update(uploads::table.filter(uploads::id.eq_any(due)))
                .set((
                    uploads::removed_at.eq(now),
                    uploads::seq.eq(uploads::seq + 1),
                ))
                .execute(connection)
        })
        .await
    }
}

/// The bytes of all parts together; `None` while one of them is not known.
fn sum(parts: &[Summand]) -> QueryResult<Option<ByteCount>> {
    let totals: Option<Vec<i64>> = parts.iter().map(|(_, total, _)| *total).collect();
    let Some(totals) = totals else {
        return Ok(None);
    };
    let sum = totals
        .into_iter()
        .fold(0_i64, |sum, total| sum.saturating_add(total));
    bytes(sum).map(Some)
}

/// The bytes of all parts together, each counted once.
fn distinct_bytes(parts: &[Summand]) -> ByteCount {
    let mut totals: Vec<(Uuid, i64)> = parts
        .iter()
        .map(|(id, total, _)| (*id, total.unwrap_or_default()))
        .collect();
    totals.sort_unstable();
    totals.dedup();
    let sum = totals
        .into_iter()
        .fold(0_i64, |sum, (_, total)| sum.saturating_add(total));
    ByteCount::try_from(sum).unwrap_or_default()
}
