//! Taking the next bytes of a file: claim, then gather and commit side by side,
//! chunk by chunk.
//!
//! It never commits out of order and never twice: the row moves only if it
//! stands where this connection left it.

use anyhow::Context;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::try_join;
use slipway_core::{ByteCount, Sha256Digest, UploadId, UploadState};
use slipway_db::{Advanced, Bid, Claim, Claimed, Upload};
use tokio::time::Instant;

use super::continuation::{Continuation, Ending, Landed};
use super::gather::{End, GATHER_TIME, Gathered, Gatherer};
use super::room::NoRoom;
use super::until::until;
use crate::Ingest;
use crate::checksum::Checksum;
use crate::proof::{Expected, Proof};
use crate::speed::Speed;
use crate::stores::{BlobStore, Step, Written};

/// Why bytes were not taken, or not all of them. Each variant is a decision some
/// caller makes; the rest is a fault.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// No upload has this id.
    #[error("there is no such upload")]
    Missing,
    /// It was removed, or its sender stayed away for too long.
    #[error("this upload was removed or has expired")]
    Gone,
    /// It failed for good.
    #[error("this upload has failed: {0}")]
    Failed(String),
    /// The bytes do not start where the stored ones end.
    #[error("the bytes start at {given}, but {have} are stored")]
    WrongOffset {
        /// Where the sender started.
        given: ByteCount,
        /// Where it should have started.
        have: ByteCount,
    },
    /// There are more bytes than were announced; those that fit are stored.
    #[error("more bytes were sent than the {total} that were announced")]
    TooLong {
        /// Durable bytes now.
        have: ByteCount,
        /// What was announced.
        total: ByteCount,
    },
    /// The file was said to have another size, or its end was said to be elsewhere.
    #[error("the file was said to have {given} bytes, which differs from what is known of it")]
    OtherSize {
        /// What was said now.
        given: ByteCount,
        /// Durable bytes now.
        have: ByteCount,
    },
    /// The file was said to be, or turned out to be, larger than any that is taken.
    #[error("at most {max} bytes are taken")]
    TooLarge {
        /// The largest size.
        max: ByteCount,
        /// Durable bytes now.
        have: ByteCount,
    },
    /// It is complete, and its sender goes on.
    #[error("this upload is complete")]
    Complete {
        /// Its bytes.
        have: ByteCount,
        /// Whether there are bytes beyond them.
        more: bool,
    },
    /// It is put together from others and takes no bytes.
    #[error("this upload is put together from others and takes no bytes")]
    Final,
    /// The file has another hash than its sender announced; it has failed.
    #[error("the file has the SHA-256 {found}, and {expected} was announced; send it again")]
    WrongFile {
        /// What it has.
        found: Sha256Digest,
        /// What was announced.
        expected: Sha256Digest,
    },
    /// There is no room for more of it.
    #[error("{why}")]
    NoRoom {
        /// Why not.
        why: NoRoom,
        /// Durable bytes now.
        have: ByteCount,
    },
    /// The bytes are not those that the sender declared; none of them is kept.
    #[error("the bytes differ from their checksum; none of them was kept")]
    WrongChecksum,
    /// A newer connection carries this upload on.
    #[error("another connection is sending this upload now")]
    Superseded,
    /// The connection broke; what arrived is stored.
    #[error("the connection broke after byte {have}")]
    Cut {
        /// Durable bytes now.
        have: ByteCount,
    },
    /// Something broke on our side.
    #[error("the bytes could not be stored")]
    Fault(#[from] anyhow::Error),
}

impl Ingest {
    /// Stores the next bytes of an upload and says how far it has got. All bytes up
    /// to the answer are durable.
    ///
    /// # Errors
    /// See [`AppendError`]; whatever was stored before the error stays stored.
    pub async fn append<E>(
        &self,
        id: UploadId,
        continuation: Continuation,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<Landed, AppendError> {
        let bid = continuation.bid(self.bytes_max())?;
        let claimed = self
            .db
            .upload_claim(id, bid, self.settings.uploads.expires_after)
            .await
            .context("claiming the upload")?;
        let (claim, saved) = match claimed {
            Claimed::Yes(claim, saved) => (claim, saved),
            Claimed::No(upload) => {
                // Only at the end of a complete file it matters whether bytes follow.
                let more = upload.stored == bid.from
                    && Gatherer::new(body, self.budget.clone()).has_more().await;
                return unclaimed(&upload, bid, continuation.end, more);
            }
            Claimed::Missing => return Err(AppendError::Missing),
        };
        if bid.total.is_some() || claim.total().is_none() {
            // Its size was not known when its owner's room was looked at, or may not
            // have been.
            self.require_room_for(&claim, 0).await?;
        }
        self.holders.supersede(id, claim.writer());
        let holding = self.holders.hold(id, claim.writer());
        if let Some(total) = claim.total()
            && continuation
                .announced
                .is_some_and(|announced| announced > total.since(bid.from))
        {
            let have = bid.from;
            return Err(AppendError::TooLong { have, total });
        }
        let checksum = self.checksum_so_far(&claim, saved.as_deref()).await?;
        let speed = Speed::going_on_from(claim.rate());
        let now = Instant::now();
        let writer = Writer {
            ingest: self,
            store: self.stores.of(claim.store()),
            written: claim.stored(),
            claim,
            checksum,
            proof: continuation.expected.map(Expected::begin),
            end: continuation.end,
            whole: None,
            speed,
            measured_at: now,
            committed_at: now,
        };
        let body = until(body, holding.stopped());
        match writer.write(Gatherer::new(body, self.budget.clone())).await {
            Err(AppendError::Cut { .. }) if holding.is_stopped() => Err(AppendError::Superseded),
            written => written,
        }
    }

    /// The hash of the stored bytes: as it was put aside, or, if that cannot be
    /// understood, of the bytes themselves.
    pub(crate) async fn checksum_so_far(
        &self,
        claim: &Claim,
        saved: Option<&[u8]>,
    ) -> Result<Checksum, AppendError> {
        if claim.stored() == ByteCount::ZERO {
            return Ok(Checksum::default());
        }
        if let Some(checksum) = saved.and_then(Checksum::restore) {
            return Ok(checksum);
        }
        tracing::warn!(upload = %claim.id(), "hashing the stored bytes of upload {} again", claim.id());
        let mut checksum = Checksum::default();
        let store = self.stores.of(claim.store());
        let mut at = ByteCount::ZERO;
        while at < claim.stored() {
            let left = claim.stored().since(at);
            let data = store.read(claim.id(), at, left).await?;
            at = beyond(at, &data)?;
            checksum = self.update(checksum, data).await?;
        }
        Ok(checksum)
    }

    pub(crate) async fn update(
        &self,
        mut checksum: Checksum,
        data: Bytes,
    ) -> anyhow::Result<Checksum> {
        self.compute
            .hash(move || {
                checksum.update(&data);
                checksum
            })
            .await
    }
}

impl Ingest {
    async fn require_room_for(&self, claim: &Claim, more: u64) -> Result<(), AppendError> {
        let have = claim.stored();
        let room = self.still_has_room(claim.owner(), more).await?;
        room.map_err(|why| AppendError::NoRoom { why, have })
    }
}

/// The byte after `data`, which begins at `at`.
fn beyond(at: ByteCount, data: &Bytes) -> anyhow::Result<ByteCount> {
    let length = u64::try_from(data.len()).context("measuring some bytes")?;
    at.checked_add(length).context("a file that is too large")
}

/// What to answer when the upload stands elsewhere or takes no more bytes; `more`
/// tells whether the sender has any.
fn unclaimed(upload: &Upload, bid: Bid, end: Ending, more: bool) -> Result<Landed, AppendError> {
    if upload.removed_at.is_some() {
        return Err(AppendError::Gone);
    }
    let (from, have) = (bid.from, upload.stored);
    let other_size = bid
        .total
        .filter(|given| upload.total.is_some_and(|total| total != *given));
    match upload.state {
        _ if upload.is_final() => Err(AppendError::Final),
        UploadState::Expired => Err(AppendError::Gone),
        UploadState::Failed => Err(AppendError::Failed(
            upload.message.clone().unwrap_or_default(),
        )),
        _ if have != from => Err(AppendError::WrongOffset { given: from, have }),
        // Where it should be: unless the size differs, only its time has run out.
        UploadState::Receiving => match other_size {
            Some(given) => Err(AppendError::OtherSize { given, have }),
            None => Err(AppendError::Gone),
        },
        // A sender that missed our last answer asks again; nothing is left to do.
        UploadState::Verifying | UploadState::Stored if !more && end == Ending::BySize => {
            Ok(Landed {
                stored: have,
                whole: upload.sha256,
                expires_at: None,
            })
        }
        UploadState::Verifying | UploadState::Stored => Err(AppendError::Complete { have, more }),
    }
}

/// A claimed upload and everything that goes on from chunk to chunk.
struct Writer<'a> {
    ingest: &'a Ingest,
    store: &'a dyn BlobStore,
    claim: Claim,
    /// Where the bytes end that the store has, committed or not.
    written: ByteCount,
    /// Of the bytes up to there.
    checksum: Checksum,
    /// Of the bytes of this request, if its sender declared one. Until it holds,
    /// nothing is committed.
    proof: Option<Proof>,
    end: Ending,
    /// The digest of the file, once it is complete.
    whole: Option<Sha256Digest>,
    speed: Speed,
    measured_at: Instant,
    committed_at: Instant,
}

impl Writer<'_> {
    /// Hands one chunk to the store while the next is gathered, until the sender is
    /// done.
    async fn write<E>(
        mut self,
        mut gatherer: Gatherer<impl Stream<Item = Result<Bytes, E>>>,
    ) -> Result<Landed, AppendError> {
        let uneasy = self.store.bytes_between_commits() > 0;
        let mut gathered = gatherer.next(self.room_after(0), false).await;
        loop {
            let Gathered { data, end } = gathered;
            let room = self.room_after(data.len());
            if end != End::NotYet || room == 0 {
                return self.conclude(data, end, &mut gatherer).await;
            }
            // An error of the store ends the gathering at once: a superseded
            // connection must not wait for its sender to fall silent.
            let next = async { Ok(gatherer.next(room, uneasy).await) };
            (self, gathered) = try_join(self.take(data), next).await?;
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

    /// Hashes one chunk and hands it to the store. Returns once everything up to its
    /// end is durable, if a commit is due; else once the store has the chunk.
    async fn take(self, data: Bytes) -> Result<Self, AppendError> {
        let to = beyond(self.written, &data)?;
        let writer = self.hash(&data).await?;
        let pending = to.since(writer.claim.stored());
        let due = pending >= writer.store.bytes_between_commits()
            || writer.committed_at.elapsed() >= GATHER_TIME;
        if pending > 0 && due && writer.proof.is_none() {
            return writer.commit(to, data).await;
        }
        writer.write_ahead(to, data).await
    }

    async fn hash(mut self, data: &Bytes) -> Result<Self, AppendError> {
        if data.is_empty() {
            return Ok(self);
        }
        let (mut checksum, mut proof, data) = (self.checksum, self.proof, data.clone());
        let hashed = self.ingest.compute.hash(move || {
            checksum.update(&data);
            if let Some(proof) = &mut proof {
                proof.update(&data);
            }
            (checksum, proof)
        });
        (self.checksum, self.proof) = hashed.await?;
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
        let now = Instant::now();
        let pending = to.since(self.claim.stored());
        self.speed.moved(pending, now - self.measured_at);
        self.measured_at = now;
        if let (true, Some(expected)) = (self.completes(to), self.claim.expected()) {
            let found = self.checksum.finish();
            if found != expected {
                return self.mistaken(found, expected).await;
            }
        }
        let unknown_size = self.claim.total().is_none();
        let step = Step {
            to,
            tail,
            hash_state: self.checksum.save(),
            rate: self.speed.per_second(),
            whole: self.completes(to).then(|| self.checksum.finish()),
        };
        let whole = step.whole;
        let Advanced::Yes(claim) = self.store.commit(self.claim, step).await? else {
            return Err(AppendError::Superseded);
        };
        if whole.is_some() {
            self.ingest.enqueued.notify_one();
            tracing::info!(upload = %claim.id(), bytes = %claim.stored(), "upload {} stored", claim.id());
        }
        if unknown_size {
            self.ingest.require_room_for(&claim, pending).await?;
        }
        Ok(Self {
            claim,
            whole,
            written: to,
            committed_at: Instant::now(),
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

    /// Whether the file is complete once it reaches `to`. A sender that says when it
    /// is may do so with bytes that are committed one by one, so its word counts
    /// only after the last of them: `conclude` makes `BySize` of it.
    fn completes(&self, to: ByteCount) -> bool {
        self.end == Ending::BySize && self.claim.total() == Some(to)
    }

    /// Takes the last chunk of a request and says what has come of it.
    async fn conclude<E>(
        self,
        data: Bytes,
        end: End,
        gatherer: &mut Gatherer<impl Stream<Item = Result<Bytes, E>>>,
    ) -> Result<Landed, AppendError> {
        let to = beyond(self.written, &data)?;
        // All that may come is here; the sender should have stopped.
        let more = end == End::NotYet && gatherer.has_more().await;
        let mut writer = self.hash(&data).await?.prove(end, more)?;
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
    fn prove(mut self, end: End, more: bool) -> Result<Self, AppendError> {
        let have = self.claim.stored();
        let Some(proof) = self.proof.take() else {
            return Ok(self);
        };
        if end == End::Cut {
            return Err(AppendError::Cut { have });
        }
        if more || !proof.holds() {
            return Err(AppendError::WrongChecksum);
        }
        Ok(self)
    }

    fn landed(&self) -> Landed {
        let unfinished = self.whole.is_none();
        Landed {
            stored: self.claim.stored(),
            whole: self.whole,
            expires_at: unfinished.then(|| self.claim.expires_at()),
        }
    }

    /// What comes of a sender that goes on past the end. One that says itself when it
    /// is complete, and goes past the size it said, cannot be believed in anything
    /// (draft-ietf-httpbis-resumable-upload, "Upload Append").
    async fn overrun(self) -> Result<Landed, AppendError> {
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
