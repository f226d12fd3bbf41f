//! Taking the next bytes of a file: claim, then gather and commit side by side,
//! chunk by chunk.
//!
//! It never commits out of order and never twice: the row moves only if it
//! stands where this connection left it.

use anyhow::{Context, anyhow};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::future::try_join;
use slipway_core::{ByteCount, UploadId, UploadState};
use slipway_db::{Advanced, Claim, Claimed, Upload};
use tokio::time::Instant;

use super::gather::{End, GATHER_TIME, Gathered, Gatherer};
use crate::Ingest;
use crate::checksum::Checksum;
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
    /// Stores the bytes that follow byte `from` of an upload, `announced` of them
    /// if the sender said so, and says how far the upload has got. All bytes up
    /// to the answer are durable.
    ///
    /// # Errors
    /// See [`AppendError`]; whatever was stored before the error stays stored.
    pub async fn append<E>(
        &self,
        id: UploadId,
        from: ByteCount,
        announced: Option<u64>,
        body: impl Stream<Item = Result<Bytes, E>>,
    ) -> Result<ByteCount, AppendError> {
        let mut gatherer = Gatherer::new(body);
        let claimed = self
            .db
            .upload_claim(id, from, self.settings.uploads.expires_after)
            .await
            .context("claiming the upload")?;
        let (claim, saved) = match claimed {
            Claimed::Yes(claim, saved) => (claim, saved),
            Claimed::No(upload) => return unclaimed(&upload, from, &mut gatherer).await,
            Claimed::Missing => return Err(AppendError::Missing),
        };
        if let Some(total) = claim.total()
            && announced.is_some_and(|announced| announced > total.since(from))
        {
            return Err(AppendError::TooLong { have: from, total });
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
            speed,
            measured_at: now,
            committed_at: now,
        };
        writer.write(gatherer).await
    }

    /// The hash of the stored bytes: as it was put aside, or, if that cannot be
    /// understood, of the bytes themselves.
    async fn checksum_so_far(
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

/// The byte after `data`, which begins at `at`.
fn beyond(at: ByteCount, data: &Bytes) -> anyhow::Result<ByteCount> {
    let length = u64::try_from(data.len()).context("measuring some bytes")?;
    at.checked_add(length).context("a file that is too large")
}

/// What to answer when the upload stands elsewhere or takes no more bytes.
async fn unclaimed<E>(
    upload: &Upload,
    from: ByteCount,
    gatherer: &mut Gatherer<impl Stream<Item = Result<Bytes, E>>>,
) -> Result<ByteCount, AppendError> {
    if upload.removed_at.is_some() {
        return Err(AppendError::Gone);
    }
    match upload.state {
        UploadState::Expired => Err(AppendError::Gone),
        UploadState::Failed => Err(AppendError::Failed(
            upload.message.clone().unwrap_or_default(),
        )),
        _ if upload.stored != from => Err(AppendError::WrongOffset {
            given: from,
            have: upload.stored,
        }),
        // Still receiving and where it should be: only its time has run out.
        UploadState::Receiving => Err(AppendError::Gone),
        // A sender that missed our last answer asks again; nothing is left to do.
        UploadState::Verifying | UploadState::Stored if !gatherer.has_more().await => Ok(from),
        UploadState::Verifying | UploadState::Stored => Err(AppendError::TooLong {
            have: upload.stored,
            total: upload.stored,
        }),
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
    ) -> Result<ByteCount, AppendError> {
        let uneasy = self.store.bytes_between_commits() > 0;
        let mut gathered = gatherer.next(self.room_after(0), false).await;
        loop {
            let Gathered { data, end } = gathered;
            let room = self.room_after(data.len());
            if end != End::NotYet || room == 0 {
                self = self.take(data, true).await?;
                return self.finish(end, &mut gatherer).await;
            }
            // An error of the store ends the gathering at once: a superseded
            // connection must not wait for its sender to fall silent.
            let next = async { Ok(gatherer.next(room, uneasy).await) };
            (self, gathered) = try_join(self.take(data, false), next).await?;
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
    /// end is durable, if these are the `last` bytes of the request or a commit is
    /// due; else once the store has the chunk.
    async fn take(mut self, data: Bytes, last: bool) -> Result<Self, AppendError> {
        let to = beyond(self.written, &data)?;
        if !data.is_empty() {
            self.checksum = self.ingest.update(self.checksum, data.clone()).await?;
        }
        let pending = to.since(self.claim.stored());
        if pending == 0 {
            return Ok(self);
        }
        let due = last
            || pending >= self.store.bytes_between_commits()
            || self.committed_at.elapsed() >= GATHER_TIME;
        if due {
            return self.commit(to, data).await;
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
        let whole = self.claim.total() == Some(to);
        let step = Step {
            to,
            tail,
            hash_state: self.checksum.save(),
            rate: self.speed.per_second(),
            whole: whole.then(|| self.checksum.finish()),
        };
        let Advanced::Yes(claim) = self.store.commit(self.claim, step).await? else {
            return Err(AppendError::Superseded);
        };
        if whole {
            self.ingest.enqueued.notify_one();
            tracing::info!(upload = %claim.id(), bytes = %claim.stored(), "upload {} stored", claim.id());
        }
        Ok(Self {
            claim,
            written: to,
            committed_at: Instant::now(),
            ..self
        })
    }

    async fn finish<E>(
        self,
        end: End,
        gatherer: &mut Gatherer<impl Stream<Item = Result<Bytes, E>>>,
    ) -> Result<ByteCount, AppendError> {
        let have = self.claim.stored();
        match (end, self.claim.total()) {
            (End::Complete, _) => Ok(have),
            (End::Cut, _) => Err(AppendError::Cut { have }),
            // All announced bytes are here; the sender should have stopped.
            (End::NotYet, Some(total)) if gatherer.has_more().await => {
                Err(AppendError::TooLong { have, total })
            }
            (End::NotYet, Some(_)) => Ok(have),
            (End::NotYet, None) => Err(AppendError::Fault(anyhow!(
                "an upload of unknown size reached the largest size"
            ))),
        }
    }
}
