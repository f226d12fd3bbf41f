//! How much uploads take up: of an account, and all together.
//!
//! It never says what is too much; that is compared where the limits are known.

use diesel::dsl::sql;
use diesel::prelude::*;
use diesel::sql_types::BigInt;
use slipway_core::{AccountId, ByteCount, UploadState};
use uuid::Uuid;

use crate::cached::Cache;
use crate::schema::uploads;
use crate::uploads::bytes;
use crate::{Db, DbError};

/// What the uploads of an account take up. A file counts with its announced size
/// from the moment it is announced, one of unknown size with its stored bytes; what
/// was removed or has expired counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Usage {
    /// Bytes, arrived or announced.
    pub bytes: ByteCount,
    /// Uploads that are not complete.
    pub open: u64,
}

/// What a new upload may bring an account to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Bytes, its own included.
    pub bytes_max: ByteCount,
    /// Uploads that are not complete, itself included.
    pub open_max: u64,
}

/// What all uploads together take up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Holdings {
    /// Bytes, arrived or announced.
    pub bytes: ByteCount,
    /// Those of them that have not arrived.
    pub awaited: u64,
}

/// Bytes that arrived or were announced.
const HELD: &str = "coalesce(sum(coalesce(total_bytes, stored_bytes)), 0)::bigint";

/// Bytes that were announced and have not arrived.
const AWAITED: &str =
    "coalesce(sum(total_bytes - stored_bytes) FILTER (WHERE state = 'receiving'), 0)::bigint";

/// What an account takes up. Exact only while the caller holds the account's row:
/// whoever announces an upload takes it first.
pub(crate) fn usage_in_txn(connection: &mut PgConnection, owner: Uuid) -> QueryResult<Usage> {
    let (held, open): (i64, i64) = uploads::table
        .filter(uploads::owner_id.eq(owner))
        .filter(uploads::removed_at.is_null())
        .filter(uploads::state.ne(UploadState::Expired.as_str()))
        .select((
            sql::<BigInt>(HELD),
            sql::<BigInt>("count(*) FILTER (WHERE state = 'receiving')"),
        ))
        .cached()
        .get_result(connection)?;
    Ok(Usage {
        bytes: bytes(held)?,
        open: open.unsigned_abs(),
    })
}

impl Quota {
    /// Whether an account that has this much may have one more upload of this size.
    pub fn has_room(&self, usage: &Usage, total: Option<ByteCount>) -> bool {
        let more = total.unwrap_or_default().to_u64();
        let bytes = usage.bytes.checked_add(more);
        bytes.is_some_and(|bytes| bytes <= self.bytes_max) && usage.open < self.open_max
    }
}

impl Db {
    /// What an account takes up.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_usage(&self, owner: AccountId) -> Result<Usage, DbError> {
        self.run_alone("adding up an account's uploads", move |connection| {
            usage_in_txn(connection, owner.to_uuid())
        })
        .await
    }

    /// What all uploads together take up. Reads every row that counts: some tens of
    /// milliseconds for a hundred thousand.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_holdings(&self) -> Result<Holdings, DbError> {
        self.run_alone("adding up all uploads", |connection| {
            let (held, awaited): (i64, i64) = uploads::table
                .filter(uploads::removed_at.is_null())
                .filter(uploads::state.ne(UploadState::Expired.as_str()))
                .select((sql::<BigInt>(HELD), sql::<BigInt>(AWAITED)))
                .first(connection)?;
            Ok(Holdings {
                bytes: bytes(held)?,
                awaited: awaited.unsigned_abs(),
            })
        })
        .await
    }
}
