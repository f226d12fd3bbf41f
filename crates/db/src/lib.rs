//! Every SQL statement in Slipway, one file per table, and nothing else.
//!
//! Callers see [`Db`] and plain rows; they never see a connection, a transaction
//! or a Diesel type. A method is named table first, verb second
//! (`upload_advance`), so that searching for `fn upload_` lists all that can
//! happen to an upload.
//!
//! Invariants:
//! - One method is one transaction. A method never calls another `Db` method.
//! - A method answers with facts (`false`: not moved), never with a rule.
//! - A pooled connection exists in one place, the gate, and for the length of
//!   one transaction; no bytes are awaited while one is held.
//! - No transaction that does work sends a NOTIFY: the doorbell rings after commit.
//! - Only an [`slipway_config::ApprovedDatabase`] opens a connection, in `connect.rs`
//!   alone; before the guard has admitted it, nothing is sent but a read-only look.

mod accounts;
mod budget;
mod cached;
mod chunks;
mod concat;
mod connect;
mod doorbell;
mod error;
mod examine;
mod gate;
mod job_leases;
mod jobs;
mod listen;
mod migrate;
mod parts;
mod pooler;
mod progress;
mod schema;
mod security_events;
mod sessions;
mod sign_in_attempts;
mod sign_in_links;
mod stamp;
mod tokens;
mod upload_ends;
mod upload_room;
mod upload_step;
mod upload_twins;
mod upload_writes;
mod uploads;

#[cfg(feature = "testing")]
pub mod testing;

use std::sync::Arc;

use slipway_config::{ApprovedDatabase, DatabaseSettings, Refusal};

pub use accounts::{Account, AccountChange, NewAccount};
pub use budget::{Budget, Limits};
pub use chunks::Chunk;
pub use concat::{FinalCreated, Part};
pub use connect::{ConnectError, admission, look};
pub use doorbell::{Changes, Doorbell};
pub use error::DbError;
pub use examine::{Encryption, Examined, examine, limits};
pub use job_leases::{Lease, LeasedJob, Reported, Settlement};
pub use jobs::{Job, JobChange};
pub use listen::{Heard, Listener};
pub use migrate::{MigrateError, Migrated, Migrations, Planned, Ran, migrate, migrate_plan};
pub use parts::{Ship, Shipper};
pub use progress::TopicState;
pub use security_events::{Event, NewEvent};
pub use sessions::{NewSession, Session, SessionLimits, Which};
pub use sign_in_attempts::{Attempt, AttemptLimits};
pub use sign_in_links::{LinkSeen, NewLink};
pub use stamp::{AdoptError, Scrubbed, adopt};
pub use tokens::{ApiToken, TokenGrant};
pub use upload_ends::Taken;
pub use upload_room::{Holdings, Quota, Usage};
pub use upload_twins::Twin;
pub use upload_writes::{Advance, Advanced, Bid, Claim, Claimed};
pub use uploads::{Created, NewUpload, Upload, is_final};

/// The database, as the rest of Slipway sees it. Cheap to clone.
#[derive(Clone)]
pub struct Db {
    gate: Arc<gate::Gate>,
    doorbell: Arc<Doorbell>,
}

impl Db {
    /// Opens a pool on a database that the guard approved. Connects in the
    /// background: a database that is away makes calls fail, not the start.
    ///
    /// # Errors
    /// When the operating system refuses the threads.
    pub fn open(approved: &ApprovedDatabase, settings: &DatabaseSettings) -> std::io::Result<Self> {
        Ok(Self {
            gate: Arc::new(gate::Gate::open(approved, settings)?),
            doorbell: Arc::new(Doorbell::default()),
        })
    }

    /// Why the guard refused the connection that was tried last, if it did.
    pub fn refusal(&self) -> Option<Refusal> {
        self.gate.refusal()
    }

    /// Where this process collects the topics that it has changed.
    pub fn doorbell(&self) -> &Doorbell {
        &self.doorbell
    }
}

#[cfg(test)]
mod tests;
