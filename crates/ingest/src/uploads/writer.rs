//! A claimed upload while its bytes come in: gather and store side by side, chunk by
//! chunk.
//!
//! It never commits out of order and never twice: the row moves only if it stands where
//! this connection left it.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::try_join;
use slipway_core::{ByteCount, Sha256Digest};
use slipway_db::{Advanced, Claim};
use tokio::time::Instant;

use super::append::AppendError;
use super::behind::Behind;
use super::continuation::{Continuation, Ending, Landed};
use super::gather::{End, GATHER_TIME, Gathered, Gatherer};
use super::standing::Standing;
use crate::Ingest;
use crate::checksum::Checksum;
use crate::proof::Proof;
use crate::speed::Speed;
use crate::stores::{BlobStore, Step, Written};

/// A claimed upload and everything that goes on from chunk to chunk.
pub(super) struct Writer<'a> {
    ingest: &'a Ingest,
    store: &'a dyn BlobStore,
    claim: Claim,
    /// Where the bytes end that the store has, committed or not.
    written: ByteCount,
    /// Of the bytes up to there; `None` when the inspection makes it.
    checksum: Option<Checksum>,
    /// Whether the sender declared a checksum of the bytes of this request. Until it
    /// holds, nothing is committed.
    is_proven_last: bool,
    end: Ending,
    /// Whether the file is complete.
    complete: bool,
    /// Its digest then, if one was made.
    whole: Option<Sha256Digest>,
    speed: Speed,
    /// When the last commit began, and where it leads.
    committed_at: Instant,
    committing: ByteCount,
    behind: Behind,
    /// Until when the claim may be gone on with by others.
    stands_until: Instant,
}

impl<'a> Writer<'a> {
    /// Of the holder of a claim.
    pub(super) fn new(ingest: &'a Ingest, standing: Standing, continuation: &Continuation) -> Self {
        let Standing {
            claim,
            checksum,
            speed,
            until,
        } = standing;
        Self {
            ingest,
            store: ingest.stores.of(claim.store()),
            written: claim.stored(),
            checksum,
            is_proven_last: continuation.expected.is_some(),
            end: continuation.end,
            complete: false,
            whole: None,
            speed,
            stands_until: until,
            committed_at: Instant::now(),
            committing: claim.stored(),
            behind: Behind::default(),
            claim,
        }
    }

    /// Hands one chunk to the store while the next is gathered, until the sender is
    /// done. What it leaves to the next connection is its claim, unless the file is
    /// complete.
    pub(super) async fn write<E>(
        mut self,
        mut gatherer: Gatherer<impl Stream<Item = Result<Bytes, E>>>,
    ) -> Result<(Landed, Option<Standing>), AppendError> {
        let uneasy = self.store.bytes_between_commits() > 0;
        let mut gathered = gatherer.next(self.room_after(0), false).await;
        loop {
            let room = self.room_after(gathered.data.len());
            if gathered.end != End::NotYet || room == 0 {
                return self.conclude(gathered, &mut gatherer).await;
            }
            // An error of the store ends the gathering at once: a superseded
            // connection must not wait for its sender to fall silent.
            let next = async { Ok(gatherer.next(room, uneasy).await) };
            (self, gathered) = try_join(self.take(gathered), next).await?;
        }
    }

    /// How many bytes may still come once `pending` more are written.
    fn room_after(&self, pending: usize) -> usize {
        let limit = self
            .claim
            .total()
            .unwrap_or_else(|| self.ingest.bytes_max());
        let room = limit.since(self.written);
        usize::try_from(room)
            .unwrap_or(usize::MAX)
            .saturating_sub(pending)
    }

    /// Hands one chunk to the store. Returns once everything up to its end is durable,
    /// if a commit is due; else once the store has the chunk.
    async fn take(self, gathered: Gathered) -> Result<Self, AppendError> {
        let Gathered { data, checksum, .. } = gathered;
        let to = beyond(self.written, &data)?;
        let writer = Self { checksum, ..self };
        let pending = to.since(writer.committing);
        let between = writer.store.bytes_between_commits();
        let due = pending >= between || writer.committed_at.elapsed() >= GATHER_TIME;
        if pending == 0 || !due || writer.is_proven_last {
            return writer.write_ahead(to, data).await;
        }
        if between == 0 {
            return writer.commit(to, data).await;
        }
        // Written first, so that the commit which goes on holds no memory.
        let mut writer = writer.land().await?.write_ahead(to, data).await?;
        let step = writer.step(to, Bytes::new());
        let stores = Arc::clone(&writer.ingest.stores);
        writer.behind = Behind::begin(stores, writer.claim.clone(), step);
        Ok(writer)
    }

    /// Waits for the commit that is under way.
    async fn land(mut self) -> Result<Self, AppendError> {
        match self.behind.land().await? {
            Some(Advanced::Superseded) => return Err(AppendError::Superseded),
            Some(Advanced::Yes(claim)) => {
                let before = std::mem::replace(&mut self.claim, claim).stored();
                self.ingest.require_room_beyond(&self.claim, before).await?;
            }
            None => {}
        }
        Ok(self)
    }

    async fn write_ahead(self, to: ByteCount, data: Bytes) -> Result<Self, AppendError> {
        if data.is_empty() {
            return Ok(self);
        }
        match self.store.write(&self.claim, self.written, data).await? {
            Written::Superseded => Err(AppendError::Superseded),
            Written::Yes => Ok(Self {
                written: to,
                ..self
            }),
        }
    }

    /// Makes everything up to `to` durable, `tail` being what the store does not have.
    async fn commit(mut self, to: ByteCount, tail: Bytes) -> Result<Self, AppendError> {
        let complete = self.completes(to);
        if let (true, Some(expected), Some(checksum)) =
            (complete, self.claim.expected(), &self.checksum)
        {
            let found = checksum.finish();
            if found != expected {
                return self.mistaken(found, expected).await;
            }
        }
        let before = self.claim.stored();
        let step = self.step(to, tail);
        let whole = step.whole;
        let Advanced::Yes(claim) = self.store.commit(self.claim, step).await? else {
            return Err(AppendError::Superseded);
        };
        if complete {
            self.ingest.enqueued.notify_one();
            tracing::info!(upload = %claim.id(), bytes = %claim.stored(), "upload {} is whole", claim.id());
        }
        self.ingest.require_room_beyond(&claim, before).await?;
        Ok(Self {
            claim,
            complete,
            whole,
            written: to,
            ..self
        })
    }

    /// Gives up a file that is not the one its sender announced.
    async fn mistaken(
        self,
        found: Sha256Digest,
        expected: Sha256Digest,
    ) -> Result<Self, AppendError> {
        let error = AppendError::WrongFile { found, expected };
        let failed = self.ingest.db.upload_fail(self.claim, error.to_string());
        if !failed.await.context("giving up the upload")? {
            return Err(AppendError::Superseded);
        }
        Err(error)
    }

    /// The step that leads to `to`, and takes note of it.
    fn step(&mut self, to: ByteCount, tail: Bytes) -> Step {
        let now = Instant::now();
        let pending = to.since(self.committing);
        self.speed.moved(pending, now - self.committed_at);
        self.committed_at = now;
        self.committing = to;
        let complete = self.completes(to);
        let checksum = self.checksum.as_ref();
        Step {
            to,
            tail,
            hash_state: checksum.map(Checksum::save),
            rate: self.speed.per_second(),
            whole: checksum.filter(|_| complete).map(Checksum::finish),
            verify: complete && checksum.is_none(),
        }
    }

    /// Whether the file is complete once it reaches `to`. A sender that says when it
    /// is may do so with bytes that are committed one by one, so its word counts
    /// only after the last of them: `conclude` makes `BySize` of it.
    fn completes(&self, to: ByteCount) -> bool {
        self.end == Ending::BySize && self.claim.total() == Some(to)
    }

    /// Takes the last chunk of a request and says what has come of it.
    async fn conclude<E>(
        self,
        gathered: Gathered,
        gatherer: &mut Gatherer<impl Stream<Item = Result<Bytes, E>>>,
    ) -> Result<(Landed, Option<Standing>), AppendError> {
        let Gathered {
            data,
            end,
            checksum,
        } = gathered;
        let to = beyond(self.written, &data)?;
        let proof = gatherer.take_proof();
        // All that may come is here; the sender should have stopped.
        let more = end == End::NotYet && gatherer.has_more().await;
        let mut writer = self.land().await?;
        writer.prove(proof, end, more)?;
        writer.checksum = checksum;
        let complete = end != End::Cut && !more;
        let said = writer.end == Ending::Here && complete;
        let other_size = writer.claim.total().filter(|total| said && *total != to);
        if said && other_size.is_none() {
            writer.end = Ending::BySize;
            writer.claim = writer.claim.of_total(to);
        }
        if to > writer.claim.stored() || writer.completes(to) {
            writer = writer.commit(to, data).await?;
        }
        let have = writer.claim.stored();
        match (end, other_size) {
            (End::Cut, _) => Err(AppendError::Cut { have }),
            (_, Some(given)) => Err(AppendError::OtherSize { given, have }),
            _ if more => writer.overrun().await,
            _ => Ok(writer.landed()),
        }
    }

    /// Holds the bytes against what their sender declared, if it did.
    fn prove(&self, proof: Option<Proof>, end: End, more: bool) -> Result<(), AppendError> {
        let have = self.claim.stored();
        let Some(proof) = proof else {
            return Ok(());
        };
        if end == End::Cut {
            return Err(AppendError::Cut { have });
        }
        if more || !proof.holds() {
            return Err(AppendError::WrongChecksum);
        }
        Ok(())
    }

    fn landed(self) -> (Landed, Option<Standing>) {
        let landed = Landed {
            stored: self.claim.stored(),
            whole: self.whole,
            expires_at: (!self.complete).then(|| self.claim.expires_at()),
        };
        let standing = (!self.complete).then_some(Standing {
            claim: self.claim,
            checksum: self.checksum,
            speed: self.speed,
            until: self.stands_until,
        });
        (landed, standing)
    }

    /// What comes of a sender that goes on past the end. One that says itself when it
    /// is complete, and goes past the size it said, cannot be believed in anything
    /// (draft-ietf-httpbis-resumable-upload, "Upload Append").
    async fn overrun(self) -> Result<(Landed, Option<Standing>), AppendError> {
        let have = self.claim.stored();
        let Some(total) = self.claim.total() else {
            let max = self.ingest.bytes_max();
            return Err(AppendError::TooLarge { max, have });
        };
        if self.end != Ending::BySize {
            let message = format!("more than the {total} bytes that were announced were sent");
            let failed = self.ingest.db.upload_fail(self.claim, message);
            if !failed.await.context("giving up the upload")? {
                return Err(AppendError::Superseded);
            }
        }
        Err(AppendError::TooLong { have, total })
    }
}

/// The byte after `data`, which begins at `at`.
pub(super) fn beyond(at: ByteCount, data: &Bytes) -> anyhow::Result<ByteCount> {
    let length = u64::try_from(data.len()).context("measuring some bytes")?;
    at.checked_add(length).context("a file that is too large")
}
