//! Taking the next bytes of a file: claim it, then let a writer have them.
//!
//! It never takes a byte of an upload that it has not claimed.

use anyhow::Context;
use bytes::Bytes;
use futures_util::Stream;
use slipway_config::HashTime;
use slipway_core::{ByteCount, Sha256Digest, UploadId, UploadState};
use slipway_db::{Bid, Claim, Claimed, Upload};

use super::continuation::{Continuation, Ending, Landed};
use super::gather::Gatherer;
use super::holders::Holding;
use super::room::NoRoom;
use super::standing::Standing;
use super::until::until;
use super::writer::{Writer, beyond};
use crate::Ingest;
use crate::checksum::Checksum;
use crate::proof::Expected;

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
        let holding = self.holders.enter(id);
        let (standing, is_fresh) = match holding.take_standing(bid) {
            Some(standing) => (standing, false),
            None => match self.claim(&holding, bid).await? {
                Ok(standing) => (standing, true),
                Err(upload) => {
                    // Only at the end of a complete file it matters whether bytes follow.
                    let more = upload.stored == bid.from
                        && Gatherer::new(body, self.budget.clone()).has_more().await;
                    return unclaimed(&upload, bid, continuation.end, more);
                }
            },
        };
        holding.claimed(standing.claim.writer());
        if let Some(total) = standing.claim.total()
            && continuation
                .announced
                .is_some_and(|announced| announced > total.since(bid.from))
        {
            let have = bid.from;
            return Err(AppendError::TooLong { have, total });
        }
        let (checksum, end) = (standing.checksum.clone(), continuation.end);
        let writer = Writer::new(self, standing, &continuation);
        let proof = continuation.expected.map(Expected::begin);
        let body = until(body, holding.stopped());
        let gatherer = Gatherer::new(body, self.budget.clone()).hashing(checksum, proof);
        match writer.write(gatherer).await {
            Ok((landed, standing)) => {
                standing
                    .into_iter()
                    .for_each(|standing| holding.leave(standing));
                Ok(landed)
            }
            Err(AppendError::Cut { .. }) if holding.is_stopped() => Err(AppendError::Superseded),
            Err(AppendError::Superseded) if !is_fresh => self.lost(id, bid, end).await,
            Err(error) => Err(error),
        }
    }

    /// Claims an upload and clears the way for its bytes; or the upload that could not be
    /// claimed.
    async fn claim(
        &self,
        holding: &Holding,
        bid: Bid,
    ) -> Result<Result<Standing, Box<Upload>>, AppendError> {
        let expires_after = self.settings.uploads.expires_after;
        let claimed = self.db.upload_claim(holding.id(), bid, expires_after).await;
        let (claim, saved) = match claimed.context("claiming the upload")? {
            Claimed::Yes(claim, saved) => (claim, saved),
            Claimed::No(upload) => return Ok(Err(upload)),
            Claimed::Missing => return Err(AppendError::Missing),
        };
        if bid.total.is_some() || claim.total().is_none() {
            // Its size was not known when its owner's room was looked at, or may not
            // have been.
            self.require_room_beyond(&claim, claim.stored()).await?;
        }
        holding.claimed(claim.writer());
        self.stores.of(claim.store()).begin(&claim).await?;
        let later = self.settings.uploads.hash == HashTime::Inspection;
        let checksum = if later && claim.expected().is_none() {
            None
        } else {
            Some(self.checksum_so_far(&claim, saved.as_deref()).await?)
        };
        Ok(Ok(Standing::new(claim, checksum, expires_after)))
    }

    /// What has become of an upload whose claim did not stand any more.
    async fn lost(&self, id: UploadId, bid: Bid, end: Ending) -> Result<Landed, AppendError> {
        let found = self.db.upload_get(id).await.context("finding the upload")?;
        let upload = found.ok_or(AppendError::Missing)?;
        let is_where_it_was = upload.removed_at.is_none()
            && upload.state == UploadState::Receiving
            && upload.stored == bid.from;
        if is_where_it_was {
            return Err(AppendError::Superseded);
        }
        unclaimed(&upload, bid, end, true)
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
    pub(super) async fn require_room_beyond(
        &self,
        claim: &Claim,
        before: ByteCount,
    ) -> Result<(), AppendError> {
        if claim.total().is_some() {
            return Ok(());
        }
        let have = claim.stored();
        let more = have.since(before);
        let room = self.still_has_room(claim.owner(), more).await?;
        room.map_err(|why| AppendError::NoRoom { why, have })
    }
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
