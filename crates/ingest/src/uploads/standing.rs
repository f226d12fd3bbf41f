//! Claims that outlive their request, so that a sender of many small pieces need not
//! claim for each: a third of what such a piece costs.
//!
//! A claim that stands is no promise. Whoever goes on with it is fenced by its number
//! like everybody, and finds out with the first commit when another process has claimed
//! the upload since.
//!
//! It never holds a claim of a request that ended otherwise than well: nothing is written
//! beyond the bytes where it stands.

use std::collections::HashMap;
use std::time::Duration;

use slipway_core::UploadId;
use slipway_db::{Bid, Claim};
use tokio::time::Instant;

use crate::checksum::Checksum;
use crate::speed::Speed;

/// How long a claim is gone on with after it was made. Long enough that claims do not
/// count beside pieces that follow each other, and short beside the time after which an
/// upload expires, which each claim begins anew.
const STANDS: Duration = Duration::from_secs(10);

/// The same, as a share of the time after which an upload expires, should that be short.
const STANDS_OF_EXPIRY: u32 = 8;

/// Claims that stand at once: of some 500 bytes each, half a megabyte. Beyond them
/// senders claim for each piece.
const STANDING_MAX: usize = 1024;

/// A claim between two requests.
#[derive(Clone)]
pub(super) struct Standing {
    pub(super) claim: Claim,
    /// Of the stored bytes; `None` when the inspection makes it.
    pub(super) checksum: Option<Checksum>,
    pub(super) speed: Speed,
    /// Until when it may be gone on with.
    pub(super) until: Instant,
}

impl Standing {
    /// Of a claim that was just made.
    pub(super) fn new(claim: Claim, checksum: Option<Checksum>, expires_after: Duration) -> Self {
        Self {
            speed: Speed::going_on_from(claim.rate()),
            claim,
            checksum,
            until: Instant::now() + STANDS.min(expires_after / STANDS_OF_EXPIRY),
        }
    }

    /// Whether a connection that bids so may go on with it.
    fn serves(&self, bid: Bid) -> bool {
        self.claim.stored() == bid.from
            && bid
                .total
                .is_none_or(|total| self.claim.total() == Some(total))
            && Instant::now() < self.until
    }
}

/// The claims that stand, one for each upload at most.
#[derive(Default)]
pub(super) struct Standings(HashMap<UploadId, Standing>);

impl Standings {
    /// Keeps a claim, if there is room.
    pub(super) fn keep(&mut self, standing: Standing) {
        if self.0.len() >= STANDING_MAX {
            self.forget_old();
        }
        if self.0.len() < STANDING_MAX {
            self.0.insert(standing.claim.id(), standing);
        }
    }

    /// The claim of an upload, for whoever bids so; it stands no more.
    pub(super) fn take(&mut self, id: UploadId, bid: Bid) -> Option<Standing> {
        self.0.remove(&id).filter(|standing| standing.serves(bid))
    }

    /// Lets go of a claim that is older than writer number `newest`.
    pub(super) fn supersede(&mut self, id: UploadId, newest: i64) {
        if self
            .0
            .get(&id)
            .is_some_and(|standing| standing.claim.writer() < newest)
        {
            self.0.remove(&id);
        }
    }

    /// The uploads whose claims stand.
    pub(super) fn ids(&self) -> impl Iterator<Item = UploadId> {
        self.0.keys().copied()
    }

    /// Lets go of claims that nobody may go on with.
    pub(super) fn forget_old(&mut self) {
        let now = Instant::now();
        self.0.retain(|_, standing| now < standing.until);
    }
}
