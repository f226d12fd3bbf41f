//! Bytes of files that are kept in Postgres: read and sweep.
//!
//! It never writes a chunk: that is one transaction with the upload's advance.

use diesel::prelude::*;
use slipway_core::{ByteCount, UploadId, UploadState};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::{chunks, uploads};
use crate::{Db, DbError};

/// Some bytes of a file, as they were stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// Where in the file they begin.
    pub start: ByteCount,
    /// The bytes.
    pub data: Vec<u8>,
}

impl Db {
    /// The chunk that holds byte `at` of a file; `None` past its end.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn chunk_read(&self, id: UploadId, at: ByteCount) -> Result<Option<Chunk>, DbError> {
        self.run("reading a chunk", move |connection| {
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
            let start = crate::uploads::bytes(start)?;
            let holds = usize::try_from(at.since(start)).is_ok_and(|skip| skip < data.len());
            Ok(holds.then_some(Chunk { start, data }))
        })
        .await
    }

    /// Deletes at most `limit` chunks of removed and expired uploads; says how
    /// many went. A bounded number, so that no transaction runs for seconds.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn chunk_sweep(&self, limit: u16) -> Result<usize, DbError> {
        self.run("sweeping chunks", move |connection| {
            let unwanted = uploads::removed_at
                .is_not_null()
                .or(uploads::state.eq(UploadState::Expired.as_str()));
            let keys: Vec<(Uuid, i64)> = chunks::table
                .inner_join(uploads::table)
                .filter(unwanted)
                .select((chunks::upload_id, chunks::start_byte))
                .limit(limit.into())
                .load(connection)?;
            let mut swept = 0;
            for (id, start) in keys {
                swept += diesel::delete(chunks::table.find((id, start))).execute(connection)?;
            }
            Ok(swept)
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
                    .filter(diesel::dsl::not(diesel::dsl::exists(unswept))),
            )
            .execute(connection)
        })
        .await
    }
}
