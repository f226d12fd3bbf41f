//! Whether there is room for a file, asked before a byte of it is read.
//!
//! It never removes anything to make room.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use slipway_core::{AccountId, ByteCount};
use slipway_db::{Db, Holdings, Quota, Usage};
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::create::CreateError;
use crate::Ingest;

/// How long a sum over all uploads is believed. What other processes take in
/// meanwhile is not seen, so the store's limit is to lie below what it really holds:
/// two processes at 100 MiB/s each bring 1 GiB in that time.
const SUM_BELIEVED: Duration = Duration::from_secs(5);

/// What the store holds, as last added up. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Capacity(Arc<Mutex<Option<Sum>>>);

struct Sum {
    holdings: Holdings,
    added_up_at: Instant,
}

impl Capacity {
    /// Takes room for `more` bytes where all files together may have `max`, and the
    /// store can hold `free` more.
    async fn take(
        &self,
        db: &Db,
        more: u64,
        max: ByteCount,
        free: Option<u64>,
    ) -> anyhow::Result<Result<(), NoRoom>> {
        // Whoever comes while the sum is being made waits for it: one query, however
        // many files are announced at once.
        let mut sum = self.0.lock().await;
        let known = sum
            .as_ref()
            .filter(|sum| sum.added_up_at.elapsed() < SUM_BELIEVED)
            .map(|sum| (sum.holdings, sum.added_up_at));
        let (mut holdings, added_up_at) = match known {
            Some(known) => known,
            None => {
                let holdings = db.upload_holdings().await;
                let holdings = holdings.context("adding up what the store holds")?;
                (holdings, Instant::now())
            }
        };
        // Even a file of unknown size needs a byte.
        let needed = more.max(1);
        let fits = holdings.bytes.checked_add(needed);
        let answer = if fits.is_none_or(|bytes| bytes > max) {
            Err(NoRoom::Store { max })
        } else if free.is_some_and(|free| free < holdings.awaited.saturating_add(needed)) {
            Err(NoRoom::Disk)
        } else {
            holdings.bytes = holdings.bytes.checked_add(more).unwrap_or(max);
            holdings.awaited = holdings.awaited.saturating_add(more);
            Ok(())
        };
        *sum = Some(Sum {
            holdings,
            added_up_at,
        });
        Ok(answer)
    }
}

/// Why there is no room for a file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoRoom {
    /// Its account has none.
    #[error(
        "this account has {have} of {max} bytes, and there is no room for {more} more; remove a file first"
    )]
    Account {
        /// What was to be added, as far as it is known.
        more: ByteCount,
        /// What the account has, announced files included.
        have: ByteCount,
        /// What it may have.
        max: ByteCount,
    },
    /// Its account has too many uploads that are not complete.
    #[error(
        "{open} uploads of this account are not complete, and at most {max} may be; finish or remove one first"
    )]
    Open {
        /// How many there are.
        open: u64,
        /// How many there may be.
        max: u64,
    },
    /// The store has none.
    #[error("all files together may have {max} bytes, and this one does not fit; try again later")]
    Store {
        /// What the store may hold.
        max: ByteCount,
    },
    /// The disk of the store has none.
    #[error("the disk of the store has no room for this file; try again later")]
    Disk,
}

impl NoRoom {
    /// Why an account that has this much may not have an upload more.
    pub(super) fn of_account(usage: &Usage, more: Option<ByteCount>, quota: &Quota) -> Self {
        if usage.open >= quota.open_max {
            return Self::Open {
                open: usage.open,
                max: quota.open_max,
            };
        }
        Self::Account {
            more: more.unwrap_or_default(),
            have: usage.bytes,
            max: quota.bytes_max,
        }
    }
}

impl Ingest {
    /// What an account may bring itself to.
    pub(super) fn quota(&self) -> Quota {
        let limits = &self.settings.uploads;
        Quota {
            bytes_max: limits.account_bytes_max,
            open_max: limits.account_open_max.into(),
        }
    }

    /// Takes room in the store for a file of this size.
    pub(super) async fn take_room(&self, total: Option<ByteCount>) -> Result<(), CreateError> {
        if total != Some(ByteCount::ZERO) {
            self.take_in_store(total.unwrap_or_default().to_u64())
                .await??;
        }
        Ok(())
    }

    /// Whether an account has room for one more upload, as things stand.
    pub(super) async fn require_room(
        &self,
        owner: AccountId,
        total: Option<ByteCount>,
    ) -> Result<(), CreateError> {
        let (usage, quota) = (self.usage(owner).await?, self.quota());
        if quota.has_room(&usage, total) {
            Ok(())
        } else {
            Err(NoRoom::of_account(&usage, total, &quota).into())
        }
    }

    /// Whether a file still has room whose size was not announced at first: it counts
    /// as it grows, and `more` bytes have come or been announced just now.
    pub(super) async fn still_has_room(
        &self,
        owner: AccountId,
        more: u64,
    ) -> anyhow::Result<Result<(), NoRoom>> {
        let (have, max) = (self.usage(owner).await?.bytes, self.quota().bytes_max);
        if have > max {
            let more = ByteCount::try_from(more).unwrap_or_default();
            return Ok(Err(NoRoom::Account { more, have, max }));
        }
        self.take_in_store(more).await
    }

    async fn take_in_store(&self, more: u64) -> anyhow::Result<Result<(), NoRoom>> {
        let max = self.settings.uploads.capacity;
        let free = self.stores.chosen().1.free().await?;
        self.capacity.take(&self.db, more, max, free).await
    }

    async fn usage(&self, owner: AccountId) -> anyhow::Result<Usage> {
        let usage = self.db.upload_usage(owner).await;
        usage.context("adding up the account's uploads")
    }
}
