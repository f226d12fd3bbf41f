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
use slipway_db::{Advance, Advanced, Claim, Claimed, Upload};
use tokio::time::Instant;

use super::gather::{End, Gathered, Gatherer};
use crate::Ingest;
use crate::checksum::Checksum;
use crate::speed::Speed;

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
        let writer = Writer {
            ingest: self,
            claim,
            checksum,
            speed,
            measured_at: Instant::now(),
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
        let mut at = ByteCount::ZERO;
        while at < claim.stored() {
            let chunk = self
                .db
                .chunk_read(claim.id(), at)
                .await
                .context("reading stored bytes")?
                .with_context(|| format!("byte {at} of upload {} is not there", claim.id()))?;
            let length = u64::try_from(chunk.data.len()).unwrap_or(u64::MAX);
            checksum = self.update(checksum, chunk.data).await?.0;
            at = chunk
                .start
                .checked_add(length)
                .context("a file that is too large")?;
        }
        Ok(checksum)
    }

    pub(crate) async fn update(
        &self,
        mut checksum: Checksum,
        data: Vec<u8>,
    ) -> anyhow::Result<(Checksum, Vec<u8>)> {
        self.compute
            .hash(move || {
                checksum.update(&data);
                (checksum, data)
            })
            .await
    }
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
    claim: Claim,
    checksum: Checksum,
    speed: Speed,
    measured_at: Instant,
}

impl Writer<'_> {
    /// Commits one chunk while the next is gathered, until the sender is done.
    async fn write<E>(
        mut self,
        mut gatherer: Gatherer<impl Stream<Item = Result<Bytes, E>>>,
    ) -> Result<ByteCount, AppendError> {
        let mut gathered = gatherer.next(self.room_after(0)).await;
        loop {
            let Gathered { data, end } = gathered;
            let room = self.room_after(data.len());
            if end != End::NotYet || room == 0 {
                self = self.commit(data).await?;
                return self.finish(end, &mut gatherer).await;
            }
            // An error of the commit ends the gathering at once: a superseded
            // connection must not wait for its sender to fall silent.
            let next = async { Ok(gatherer.next(room).await) };
            (self, gathered) = try_join(self.commit(data), next).await?;
        }
    }

    /// How many bytes may still come once `pending` more are stored.
    fn room_after(&self, pending: usize) -> usize {
        let limit = self
            .claim
            .total()
            .unwrap_or_else(|| self.ingest.bytes_max());
        let room = limit.since(self.claim.stored());
        usize::try_from(room)
            .unwrap_or(usize::MAX)
            .saturating_sub(pending)
    }

    /// Hashes and stores one chunk; returns when it is durable.
    async fn commit(mut self, data: Vec<u8>) -> Result<Self, AppendError> {
        if data.is_empty() {
            return Ok(self);
        }
        let length = u64::try_from(data.len()).unwrap_or(u64::MAX);
        let data = {
            let (checksum, data) = self.ingest.update(self.checksum, data).await?;
            self.checksum = checksum;
            data
        };
        let now = Instant::now();
        self.speed.moved(length, now - self.measured_at);
        self.measured_at = now;
        let last = self
            .claim
            .total()
            .is_some_and(|total| total.since(self.claim.stored()) == length);
        let step = Advance {
            data,
            hash_state: self.checksum.save(),
            rate: self.speed.per_second(),
            whole: last.then(|| self.checksum.finish()),
        };
        let advanced = self
            .ingest
            .db
            .upload_advance(self.claim, step)
            .await
            .context("storing a chunk")?;
        match advanced {
            Advanced::Yes(claim) => {
                if last {
                    self.ingest.enqueued.notify_one();
                    tracing::info!(upload = %claim.id(), bytes = %claim.stored(), "upload {} stored", claim.id());
                }
                Ok(Self { claim, ..self })
            }
            Advanced::Superseded => Err(AppendError::Superseded),
        }
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
