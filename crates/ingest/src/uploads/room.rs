//! Whether there is room for a file, asked before a byte of it is read.
//!
//! It never removes anything to make room.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use slipway_core::ByteCount;
use slipway_db::{Db, Quota};
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
    held: ByteCount,
    added_up_at: Instant,
}

impl Capacity {
    /// Takes room for `more` bytes in the store, of which `max` fit; `false` if
    /// there is none.
    async fn take(&self, db: &Db, more: u64, max: ByteCount) -> anyhow::Result<bool> {
        // Whoever comes while the sum is being made waits for it: one query, however
        // many files are announced at once.
        let mut sum = self.0.lock().await;
        let known = sum
            .as_ref()
            .filter(|sum| sum.added_up_at.elapsed() < SUM_BELIEVED);
        let held = match known {
            Some(sum) => sum.held,
            None => db
                .upload_bytes_held()
                .await
                .context("adding up what the store holds")?,
        };
        let added_up_at = known.map_or_else(Instant::now, |sum| sum.added_up_at);
        let after = held.checked_add(more).filter(|after| *after <= max);
        *sum = Some(Sum {
            held: after.unwrap_or(held),
            added_up_at,
        });
        // Even a file of unknown size needs a byte.
        Ok(after.is_some_and(|after| more > 0 || after < max))
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
        let max = self.settings.uploads.capacity;
        let more = total.unwrap_or_default().to_u64();
        if total == Some(ByteCount::ZERO) || self.capacity.take(&self.db, more, max).await? {
            Ok(())
        } else {
            Err(CreateError::StoreFull { max })
        }
    }
}
