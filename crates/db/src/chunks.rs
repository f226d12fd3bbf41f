//! Bytes of files that are kept in Postgres: write ahead, read and sweep.
//!
//! It never moves an offset: a chunk that belongs to a file is written in one
//! transaction with the upload's advance.

use bytes::Bytes;
use diesel::prelude::*;
use slipway_core::{ByteCount, StoreKind, UploadId, UploadState};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::{chunks, uploads};
use crate::{Claim, Db, DbError};

/// Some bytes of a file, as they were stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the file they begin.
    pub start: ByteCount,
    /// The bytes; at least one, at most 8 MiB.
    pub data: Bytes,
}

pub(crate) fn insert_in_txn(
    connection: &mut PgConnection,
    id: UploadId,
    chunk: &Chunk,
) -> QueryResult<()> {
    diesel::insert_into(chunks::table)
        .values((
            chunks::upload_id.eq(id.to_uuid()),
            chunks::start_byte.eq(chunk.start.to_i64()),
            chunks::data.eq(&chunk.data[..]),
        ))
        .execute(connection)?;
    Ok(())
}

/// Uploads that one sweep looks at.
const SWEEP_UPLOADS: i64 = 16;

impl Db {
    /// Writes bytes beyond the stored ones, without moving the upload; `false`
    /// when the claim no longer holds. They become part of the file when the upload
    /// advances past them, and are gone with the next claim if it never does.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn chunk_write_ahead(&self, claim: &Claim, chunk: Chunk) -> Result<bool, DbError> {
        let (id, writer) = (claim.id(), claim.writer());
        self.run("writing ahead", move |connection| {
            // The lock makes a newer claim wait for this, and then delete it.
            let mine = uploads::table
                .find(id.to_uuid())
                .filter(uploads::writer.eq(writer))
                .select(uploads::id)
                .for_no_key_update()
                .first::<Uuid>(connection)
                .optional()?;
            if mine.is_none() {
                return Ok(false);
            }
            insert_in_txn(connection, id, &chunk)?;
            Ok(true)
        })
        .await
    }

    /// Deletes what earlier connections wrote ahead and never made part of the file; to
    /// be done by the holder of a new claim before it writes. One that is superseded
    /// meanwhile deletes nothing.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn chunk_discard_ahead(&self, claim: &Claim) -> Result<(), DbError> {
        let (id, writer) = (claim.id(), claim.writer());
        let stored = claim.stored().to_i64();
        self.run_alone("discarding what was written ahead", move |connection| {
            let mine = uploads::table
                .find(id.to_uuid())
                .filter(uploads::writer.eq(writer));
            let ahead = chunks::table
                .filter(chunks::upload_id.eq(id.to_uuid()))
                .filter(chunks::start_byte.ge(stored))
                .filter(diesel::dsl::exists(mine));
            diesel::delete(ahead).execute(connection).map(drop)
        })
        .await
    }

    /// The chunk that holds byte `at` of a file; `None` past its end.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn chunk_read(&self, id: UploadId, at: ByteCount) -> Result<Option<Chunk>, DbError> {
        self.run_alone("reading a chunk", move |connection| {
            let found: Option<(i64, Vec<u8>)> = chunks::table
                .filter(chunks::upload_id.eq(id.to_uuid()))
                .filter(chunks::start_byte.le(at.to_i64()))
                .order(chunks::start_byte.desc())
                .select((chunks::start_byte, chunks::data))
                .first(connection)
                .optional()?;
            let Some((start, data)) = found else {
                return Ok(None);
            };
            let data = Bytes::from(data);
            let start = crate::uploads::bytes(start)?;
            let holds = usize::try_from(at.since(start)).is_ok_and(|skip| skip < data.len());
            Ok(holds.then_some(Chunk { start, data }))
        })
        .await
    }

    /// Deletes at most `limit` chunks of removed and expired uploads, and notes which
    /// of them have none left; says how many chunks and notes that was, zero when there
    /// is nothing left to do. A bounded number, so that no transaction runs for
    /// seconds.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn chunk_sweep(&self, limit: u16) -> Result<usize, DbError> {
        self.run("sweeping chunks", move |connection| {
            let mine = uploads::store.eq(StoreKind::Postgres.as_str());
            let has_chunks =
                diesel::dsl::exists(chunks::table.filter(chunks::upload_id.eq(uploads::id)));
            // Of other stores only what they put here is swept; what is there is theirs.
            let ids: Vec<Uuid> = uploads::table
                .filter(uploads::swept_at.is_null())
                .filter(
                    uploads::removed_at
                        .is_not_null()
                        .or(uploads::state.eq(UploadState::Expired.as_str())),
                )
                .filter(mine.or(has_chunks))
                .order(uploads::id)
                .select(uploads::id)
                .limit(SWEEP_UPLOADS)
                .load(connection)?;
            let keys: Vec<(Uuid, i64)> = chunks::table
                .filter(chunks::upload_id.eq_any(&ids))
                .select((chunks::upload_id, chunks::start_byte))
                .limit(limit.into())
                .load(connection)?;
            let all = keys.len() < usize::from(limit);
            let mut swept = 0;
            for (id, start) in keys {
                swept += diesel::delete(chunks::table.find((id, start))).execute(connection)?;
            }
            if all {
                swept +=
                    diesel::update(uploads::table.filter(uploads::id.eq_any(ids)).filter(mine))
                        .set(uploads::swept_at.eq(OffsetDateTime::now_utc()))
                        .execute(connection)?;
            }
            Ok(swept)
        })
        .await
    }

    /// Removed and expired uploads, at most `limit`, whose bytes are still in this
    /// store outside the database. Neither state is ever left, so what is told here
    /// may be deleted at any later time.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_unswept(
        &self,
        store: StoreKind,
        limit: u16,
    ) -> Result<Vec<UploadId>, DbError> {
        self.run("finding what is to be swept", move |connection| {
            let ids: Vec<Uuid> = uploads::table
                .filter(uploads::swept_at.is_null())
                // Spelt as in the index, which is used only then.
                .filter(uploads::store.ne(StoreKind::Postgres.as_str()))
                .filter(uploads::store.eq(store.as_str()))
                .filter(
                    uploads::removed_at
                        .is_not_null()
                        .or(uploads::state.eq(UploadState::Expired.as_str())),
                )
                .select(uploads::id)
                .limit(limit.into())
                .load(connection)?;
            Ok(ids.into_iter().map(UploadId::from_uuid).collect())
        })
        .await
    }

    /// Notes that the bytes of these uploads are gone from their store, of those that
    /// have left none here.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_swept(&self, ids: Vec<UploadId>) -> Result<(), DbError> {
        self.run("noting what was swept", move |connection| {
            let ids: Vec<Uuid> = ids.into_iter().map(UploadId::to_uuid).collect();
            let left = chunks::table.filter(chunks::upload_id.eq(uploads::id));
            let clean = uploads::table
                .filter(uploads::id.eq_any(ids))
                .filter(diesel::dsl::not(diesel::dsl::exists(left)));
            diesel::update(clean)
                .set(uploads::swept_at.eq(OffsetDateTime::now_utc()))
                .execute(connection)?;
            Ok(())
        })
        .await
    }

    /// Forgets rows of uploads that were removed before `before` and whose bytes
    /// are swept; until then they answer "gone" instead of "unknown".
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_forget(&self, before: OffsetDateTime) -> Result<usize, DbError> {
        self.run("forgetting removed uploads", move |connection| {
            let unswept = chunks::table.filter(chunks::upload_id.eq(uploads::id));
            diesel::delete(
                uploads::table
                    .filter(uploads::removed_at.lt(before))
                    .filter(diesel::dsl::not(diesel::dsl::exists(unswept)))
                    .filter(
                        uploads::store
                            .eq(StoreKind::Postgres.as_str())
                            .or(uploads::swept_at.is_not_null()),
                    ),
            )
            .execute(connection)
        })
        .await
    }
}
