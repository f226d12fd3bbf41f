//! The rules of taking files in and working on them: uploads, jobs, accounts.
//!
//! Callers see use cases ([`Ingest::append`], [`Ingest::sign_in`]); each returns
//! its own small enum of refusals, and everything that no caller can act on as
//! a fault with its story.
//!
//! Invariants:
//! - Nothing here knows HTTP, a status code or a header; nothing writes SQL.
//! - No database connection is held while bytes arrive or a job works.
//! - Blocking or heavy computation happens in `compute.rs` alone, under a bound.
//! - A byte that was acknowledged is durable, in whichever store it is.
//! - A store removes only what belongs to removed or expired uploads.

mod access;
mod accounts;
mod audit;
mod budget;
mod checksum;
mod compute;
mod jobs;
mod password;
mod proof;
mod secret;
mod sign_in;
mod speed;
mod stores;
mod tokens;
mod uploads;

use std::sync::Arc;

use slipway_config::Settings;
use slipway_db::{Db, DbError};

pub use access::{Caller, Denied};
pub use accounts::AccountError;
pub use audit::By;
pub use jobs::{JobError, Stop, work};
pub use proof::{Algorithm, Expected};
pub use secret::Token;
pub use sign_in::{Browser, SignInError};
pub use slipway_db::{Account, ApiToken, Event, Job, LinkSeen, Session, Twin, Upload};
pub use tokens::{NewToken, TokenError};
pub use uploads::{
    AppendError, ContentError, Continuation, CreateError, Cut, Ending, Landed, Listed, NewFile,
    NoRoom, Offset, Page, ReadError, chunk_bytes, until,
};

/// The use cases. Cheap to clone.
#[derive(Clone)]
pub struct Ingest {
    db: Db,
    compute: compute::Compute,
    stores: Arc<stores::Stores>,
    budget: budget::Budget,
    /// Of downloads: a crowd of readers must not keep uploads waiting.
    outgoing: budget::Budget,
    capacity: uploads::Capacity,
    settings: Arc<Settings>,
    holders: uploads::Holders,
    /// Told when this process has enqueued a job, so that its worker need not
    /// wait for its next look.
    enqueued: Arc<tokio::sync::Notify>,
}

impl Ingest {
    /// The use cases on a database.
    pub fn new(db: Db, settings: Arc<Settings>) -> Self {
        let compute = compute::Compute::new(settings.server.workers.into());
        let stores = stores::Stores::new(&db, &compute, &settings);
        Self {
            db,
            compute,
            stores: Arc::new(stores),
            budget: budget::Budget::new(settings.uploads.in_flight_max.to_u64()),
            outgoing: budget::Budget::new(settings.uploads.in_flight_max.to_u64()),
            capacity: uploads::Capacity::default(),
            settings,
            holders: uploads::Holders::default(),
            enqueued: Arc::default(),
        }
    }

    /// The largest file that is taken.
    pub fn bytes_max(&self) -> slipway_core::ByteCount {
        self.settings.uploads.bytes_max
    }

    /// What keeps this process from working, by name; empty when nothing does.
    pub async fn obstacles(&self) -> Vec<(&'static str, String)> {
        // Told at once: nobody waits for a connection that the guard does not allow.
        if let Some(refusal) = self.db.refusal() {
            let ruling = refusal.ruling;
            let told = format!("refused by rule {}: {}", ruling.rule, ruling.reason);
            return vec![("database", told)];
        }
        match self.db.migrations().await {
            Err(error) => vec![("database", error.to_string())],
            Ok(migrations) if migrations.is_current() => vec![],
            Ok(migrations) => {
                let told = [
                    ("pending", migrations.pending),
                    ("drifted", migrations.drifted),
                ]
                .into_iter()
                .filter(|(_, versions)| !versions.is_empty())
                .map(|(what, versions)| {
                    let versions: Vec<String> = versions.into_iter().collect();
                    format!("{what}: {}", versions.join(", "))
                });
                let told: Vec<String> = told.collect();
                vec![("migrations", told.join("; "))]
            }
        }
    }
}

/// Whether a fault means no more than "try again later".
pub fn is_busy(fault: &anyhow::Error) -> bool {
    fault.chain().any(|cause| {
        cause.is::<compute::Crowded>()
            || matches!(
                cause.downcast_ref(),
                Some(DbError::Busy { .. } | DbError::Stopping { .. })
            )
    })
}
