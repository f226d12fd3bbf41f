//! How an upload advances: claim, then store and advance, fenced by a number.
//!
//! No connection is held while bytes arrive. `writer` counts the connections
//! that have claimed an upload; only the newest moves it, so what an older one
//! still sends can never land.

use std::time::Duration;

use diesel::dsl::case_when;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Nullable};
use slipway_core::{
    AccountId, ByteCount, JobKind, Sha256Digest, StoreKind, Topic, UploadId, UploadState,
};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::cached::Cache;
use crate::chunks::insert_in_txn;
use crate::concat::follow_up_in_txn;
use crate::error::word;
use crate::jobs::enqueue_in_txn;
use crate::schema::uploads;
use crate::upload_step::StepWithChunk;
use crate::uploads::{PARTIAL, UploadRow, bytes, digest, touch_account_in_txn};
use crate::{Chunk, Db, DbError, Upload};

diesel::define_sql_function! {
    /// The first of the two that is there.
    fn coalesce(x: Nullable<BigInt>, y: Nullable<BigInt>) -> Nullable<BigInt>;
}

/// Writer, stored and total bytes, hash, store, owner and announced hash of a file
/// that is put together.
type Assembled = (
    i64,
    i64,
    Option<i64>,
    Option<Vec<u8>>,
    String,
    Uuid,
    Option<Vec<u8>>,
);

/// Leave to advance one upload, until a newer connection claims it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    id: UploadId,
    writer: i64,
    stored: ByteCount,
    total: Option<ByteCount>,
    rate: Option<u64>,
    store: StoreKind,
    state: UploadState,
    expires_at: OffsetDateTime,
    owner: AccountId,
    expected: Option<Sha256Digest>,
}

/// What a connection says that wants to advance an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bid {
    /// Where its bytes start.
    pub from: ByteCount,
    /// The size, where it is said only now; one that is known must be the same.
    pub total: Option<ByteCount>,
}

impl Claim {
    /// The upload.
    pub fn id(&self) -> UploadId {
        self.id
    }

    /// The same, further on.
    fn at(self, stored: ByteCount) -> Self {
        Self { stored, ..self }
    }

    /// What the upload was when it was claimed.
    pub(crate) fn state(&self) -> UploadState {
        self.state
    }

    /// Which connection holds it; each newer one has a greater number.
    pub fn writer(&self) -> i64 {
        self.writer
    }

    /// Where the bytes are kept.
    pub fn store(&self) -> StoreKind {
        self.store
    }

    /// Whose upload it is.
    pub fn owner(&self) -> AccountId {
        self.owner
    }

    /// The hash of the file, as its sender announced it.
    pub fn expected(&self) -> Option<Sha256Digest> {
        self.expected
    }

    /// Bytes that are durable.
    pub fn stored(&self) -> ByteCount {
        self.stored
    }

    /// Size, once it is known.
    pub fn total(&self) -> Option<ByteCount> {
        self.total
    }

    /// Until when its sender may go on, if it stops now.
    pub fn expires_at(&self) -> OffsetDateTime {
        self.expires_at
    }

    /// The same claim on a file that is known to end at `total`: with the step that
    /// leads there it is whole.
    pub fn of_total(self, total: ByteCount) -> Self {
        Self {
            total: Some(total),
            ..self
        }
    }

    /// Bytes per second, as the connection before measured them.
    pub fn rate(&self) -> Option<u64> {
        self.rate
    }
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// Go on from where the stored bytes end; the hash of them, not yet finished.
    Yes(Claim, Option<Vec<u8>>),
    /// The upload stands elsewhere, or takes no more bytes; nothing was claimed.
    No(Box<Upload>),
    /// No upload has this id.
    Missing,
}

/// One step of an upload: how far, and what is true of the bytes up to there.
#[derive(Debug)]
pub struct Advance {
    /// Where it leads: beyond the stored bytes. All up to here must be durable, but
    /// for those of `chunk`.
    pub to: ByteCount,
    /// Bytes that the database keeps, stored in the same transaction.
    pub chunk: Option<Chunk>,
    /// The hash of all bytes so far, not yet finished; `None` when none is made.
    pub hash_state: Option<Vec<u8>>,
    /// Bytes per second, lately.
    pub rate: Option<u64>,
    /// The hash of the file, if it ends there and one was made.
    pub whole: Option<Sha256Digest>,
    /// Whether it ends there and its inspection has yet to say that it is stored.
    pub verify: bool,
}

/// What a claim reads: writer, size, state of the hash, rate, store, owner, and the
/// hash that was announced.
type ClaimedRow = (
    i64,
    Option<i64>,
    Option<Vec<u8>>,
    Option<i64>,
    String,
    Uuid,
    Option<Vec<u8>>,
);

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Advanced {
    /// The bytes are durable.
    Yes(Claim),
    /// A newer connection has the upload, or it is gone; nothing was stored.
    Superseded,
}

impl Db {
    /// Claims an upload for a connection; what an earlier one wrote ahead is not
    /// touched. At a wrong offset, or with another size
    /// than is known, nothing is claimed, so a confused client cannot evict a
    /// healthy one.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_claim(
        &self,
        id: UploadId,
        bid: Bid,
        expires_after: Duration,
    ) -> Result<Claimed, DbError> {
        let claimed = self
            .run_alone("claiming an upload", move |connection| {
                let now = OffsetDateTime::now_utc();
                let total = bid.total.map(ByteCount::to_i64);
                let claimed = diesel::update(
                    uploads::table
                        .find(id.to_uuid())
                        .filter(uploads::state.eq(UploadState::Receiving.as_str()))
                        .filter(uploads::removed_at.is_null())
                        .filter(uploads::expires_at.gt(now))
                        .filter(uploads::stored_bytes.eq(bid.from.to_i64()))
                        // What is put together from others takes no bytes.
                        .filter(
                            uploads::concat
                                .is_null()
                                .or(uploads::concat.eq(PARTIAL).assume_not_null()),
                        )
                        .filter(
                            uploads::total_bytes
                                .is_null()
                                .or(uploads::total_bytes.eq(coalesce(total, uploads::total_bytes)))
                                .assume_not_null(),
                        ),
                )
                .set((
                    uploads::writer.eq(uploads::writer + 1),
                    uploads::total_bytes.eq(coalesce(uploads::total_bytes, total)),
                    uploads::expires_at.eq(now + expires_after),
                ))
                .returning((
                    uploads::writer,
                    uploads::total_bytes,
                    uploads::hash_state,
                    uploads::rate,
                    uploads::store,
                    uploads::owner_id,
                    uploads::expected_sha256,
                ))
                .cached()
                .get_result::<ClaimedRow>(connection)
                .optional()?;
                if let Some((writer, total, hash_state, rate, store, owner, expected)) = claimed {
                    let total = total.map(bytes).transpose()?;
                    let claim = Claim {
                        id,
                        writer,
                        stored: bid.from,
                        total,
                        rate: rate.map(i64::unsigned_abs),
                        store: word(&store)?,
                        state: UploadState::Receiving,
                        expires_at: now + expires_after,
                        owner: AccountId::from_uuid(owner),
                        expected: digest(expected)?,
                    };
                    return Ok(Claimed::Yes(claim, hash_state));
                }
                unclaimed_in_txn(connection, id)
            })
            .await?;
        if let Claimed::Yes(claim, _) = &claimed
            && claim.writer > 1
        {
            // Whoever is superseded may be held by another process.
            self.doorbell().claimed(Topic::Upload(id));
        }
        Ok(claimed)
    }

    /// Claims a file that is to be put together, for the worker that does so; and
    /// the hash of the bytes it has, not yet finished. `None` if there is nothing to
    /// put together.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_claim_assembly(
        &self,
        id: UploadId,
    ) -> Result<Option<(Claim, Option<Vec<u8>>)>, DbError> {
        self.run("claiming a concatenation", move |connection| {
            let claimed = diesel::update(
                uploads::table
                    .find(id.to_uuid())
                    .filter(uploads::state.eq(UploadState::Verifying.as_str()))
                    .filter(uploads::removed_at.is_null()),
            )
            .set(uploads::writer.eq(uploads::writer + 1))
            .returning((
                uploads::writer,
                uploads::stored_bytes,
                uploads::total_bytes,
                uploads::hash_state,
                uploads::store,
                uploads::owner_id,
                uploads::expected_sha256,
            ))
            .get_result::<Assembled>(connection)
            .optional()?;
            let Some((writer, stored, total, hash_state, store, owner, expected)) = claimed else {
                return Ok(None);
            };
            let claim = Claim {
                id,
                writer,
                stored: bytes(stored)?,
                total: total.map(bytes).transpose()?,
                rate: None,
                store: word(&store)?,
                state: UploadState::Verifying,
                expires_at: OffsetDateTime::now_utc(),
                owner: AccountId::from_uuid(owner),
                expected: digest(expected)?,
            };
            Ok(Some((claim, hash_state)))
        })
        .await
    }

    /// Moves the upload, and stores the bytes that the database keeps, in one
    /// transaction; at its end it is stored and its inspection enqueued.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping. After an error the caller cannot
    /// know whether the step was taken: it must give up its claim.
    pub async fn upload_advance(&self, claim: Claim, step: Advance) -> Result<Advanced, DbError> {
        let outcome = if step.whole.is_some() || step.verify {
            self.run("completing an upload", move |connection| {
                let Some((owner, concat)) = advance_in_txn(connection, &claim, &step)? else {
                    return Ok(None);
                };
                if let Some(chunk) = &step.chunk {
                    insert_in_txn(connection, claim.id, chunk)?;
                }
                let mut changed = vec![Topic::Upload(claim.id)];
                let (id, concat) = (claim.id.to_uuid(), concat.as_deref());
                if step.verify {
                    // Whole is it when the inspection says so; then follows what follows.
                    let job = enqueue_in_txn(connection, id, JobKind::Inspect)?;
                    changed.push(Topic::Job(job));
                } else {
                    changed.extend(follow_up_in_txn(connection, id, concat)?);
                }
                changed.push(touch_account_in_txn(connection, owner)?);
                Ok(Some((claim.at(step.to), changed)))
            })
            .await?
        } else {
            self.run_alone("advancing an upload", move |connection| {
                let moved = match &step.chunk {
                    Some(chunk) => StepWithChunk::new(&claim, &step, chunk)
                        .get_result::<Uuid>(connection)
                        .optional()?,
                    None => advance_in_txn(connection, &claim, &step)?.map(|(owner, _)| owner),
                };
                let changed = vec![Topic::Upload(claim.id)];
                Ok(moved.map(|_| (claim.at(step.to), changed)))
            })
            .await?
        };
        let Some((claim, changed)) = outcome else {
            return Ok(Advanced::Superseded);
        };
        self.doorbell().ring(changed);
        Ok(Advanced::Yes(claim))
    }
}

/// The upload that could not be claimed.
fn unclaimed_in_txn(connection: &mut PgConnection, id: UploadId) -> QueryResult<Claimed> {
    let found = uploads::table
        .find(id.to_uuid())
        .select(UploadRow::as_select())
        .first(connection)
        .optional()?;
    match found {
        Some(row) => Ok(Claimed::No(Box::new(row.into_upload()?))),
        None => Ok(Claimed::Missing),
    }
}

/// Moves the row; `None` when the claim no longer holds, else the owner and the part
/// in a concatenation.
fn advance_in_txn(
    connection: &mut PgConnection,
    claim: &Claim,
    step: &Advance,
) -> QueryResult<Option<(Uuid, Option<String>)>> {
    // The WHERE clause is the lock: of two connections with the same bytes only
    // the newer claim still matches a row.
    let mine = uploads::table
        .find(claim.id.to_uuid())
        .filter(uploads::writer.eq(claim.writer))
        .filter(uploads::stored_bytes.eq(claim.stored.to_i64()))
        .filter(uploads::state.eq(claim.state.as_str()))
        .filter(uploads::removed_at.is_null());
    if step.whole.is_none() && !step.verify {
        let moved = diesel::update(mine).set((
            uploads::stored_bytes.eq(step.to.to_i64()),
            uploads::hash_state.eq(&step.hash_state),
            uploads::rate.eq(step.rate.and_then(|rate| i64::try_from(rate).ok())),
            uploads::seq.eq(uploads::seq + 1),
        ));
        let moved = moved.returning((uploads::owner_id, uploads::concat));
        return moved.cached().get_result(connection).optional();
    }
    let state = if step.verify {
        UploadState::Verifying
    } else {
        UploadState::Stored
    };
    let sha256 = step
        .whole
        .as_ref()
        .map(|sha256| sha256.as_bytes().as_slice());
    let ended = diesel::update(mine).set((
        uploads::stored_bytes.eq(step.to.to_i64()),
        uploads::total_bytes.eq(step.to.to_i64()),
        uploads::state.eq(state.as_str()),
        uploads::sha256.eq(sha256),
        uploads::hash_state.eq(None::<Vec<u8>>),
        uploads::rate.eq(None::<i64>),
        uploads::finished_at.eq(OffsetDateTime::now_utc()),
        // Of a part the time goes on.
        uploads::expires_at.eq(case_when(uploads::concat.eq(PARTIAL), uploads::expires_at)),
        uploads::seq.eq(uploads::seq + 1),
    ));
    let ended = ended.returning((uploads::owner_id, uploads::concat));
    ended.cached().get_result(connection).optional()
}
