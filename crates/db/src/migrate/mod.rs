//! Migrations: compiled in, run by one migrator at a time.
//!
//! Nothing but [`migrate`] changes the schema, and looking at what is pending
//! writes nothing. A migrator that cannot go on leaves a schema that works.

mod files;
mod lock;
mod records;
mod run;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use diesel::QueryResult;
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use slipway_config::ApprovedDatabase;

use crate::connect::{ConnectError, connect};
use crate::pooler::{POOLED, shares_sessions};

pub use state::Migrations;
pub(crate) use state::table_exists;

/// Why the schema was not brought up to date. Migrations that ran before the one
/// in question stay.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// There is no connection for it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// A pooler hands each transaction another session, and would lose the lock.
    #[error("{POOLED}")]
    Pooled,
    /// Another migrator does not come to an end.
    #[error(
        "another migration has been running for {waited_seconds} s; see what it waits for, or end it, and migrate again"
    )]
    Locked {
        /// How long it was waited for.
        waited_seconds: u64,
    },
    /// A statement of our own failed.
    #[error("the database failed while preparing to migrate")]
    Failed(#[from] diesel::result::Error),
    /// The binary was put together wrongly.
    #[error("the migrations in this binary cannot be used: {why}")]
    Broken {
        /// What is wrong with them.
        why: String,
    },
    /// What ran is not what this binary would have run.
    #[error(
        "{} ran here with another text than this binary has; put up.sql back as it was released and write the change as a new migration",
        list(versions)
    )]
    Drifted {
        /// The versions concerned.
        versions: BTreeSet<String>,
    },
    /// Others kept a lock that a migration needs, however often it was tried.
    #[error(
        "{version} was given up after {tries} tries: others hold a lock that it needs; the schema is as it was before it and works; end long transactions (pg_stat_activity) and migrate again"
    )]
    InTheWay {
        /// Which migration.
        version: String,
        /// How often it was tried.
        tries: u32,
    },
    /// A migration failed; its transaction was rolled back.
    #[error("{version} failed and was rolled back: {why}")]
    RolledBack {
        /// Which migration.
        version: String,
        /// What the database said.
        why: String,
    },
    /// A migration that runs without a transaction failed, perhaps half done.
    #[error(
        "{version} failed, and it runs without a transaction: {why}; indexes that are not valid: {}; drop those and migrate again",
        list(invalid_indexes)
    )]
    HalfDone {
        /// Which migration.
        version: String,
        /// What the database said.
        why: String,
        /// What it may have left behind.
        invalid_indexes: BTreeSet<String>,
    },
}

/// What a migrator has done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Migrated {
    /// What ran, in this order.
    pub ran: Vec<Ran>,
    /// Versions in the database and not in this binary: a newer release was here.
    pub unknown: BTreeSet<String>,
    /// Indexes that a migration without a transaction has left unusable.
    pub invalid_indexes: BTreeSet<String>,
}

/// A migration that ran.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Which one.
    pub version: String,
    /// How long the try took that succeeded.
    pub took: Duration,
    /// How often it was tried: more than once where locks were in its way.
    pub tries: u32,
}

/// A migration that would run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Planned {
    /// Which one.
    pub version: String,
    /// Its purpose, in its author's words.
    pub what: String,
}

/// Brings the schema up to date, as the only migrator of this database, and writes the
/// stamp if there is none yet.
///
/// # Errors
/// As the variants of [`MigrateError`] say.
pub fn migrate(approved: &ApprovedDatabase) -> Result<Migrated, MigrateError> {
    let files = files::compiled_in()?;
    let mut connection = connect(approved)?.connection;
    if shares_sessions(&mut connection, approved)? {
        return Err(MigrateError::Pooled);
    }
    run::bring_up_to_date(&mut connection, approved, &files, &run::Pace::RELEASE)
}

/// What [`migrate`] would run now. Writes nothing and waits for no other migrator.
///
/// # Errors
/// When the database cannot be reached or read, or `migrate` would refuse it.
pub fn migrate_plan(approved: &ApprovedDatabase) -> Result<Vec<Planned>, MigrateError> {
    let files = files::compiled_in()?;
    let mut connection = connect(approved)?.connection;
    connection.batch_execute(&format!(
        "SET default_transaction_read_only = on; {}",
        run::Pace::RELEASE.session()
    ))?;
    let state = state::compare(&mut connection, &files::HASHES)?;
    let pending = run::accept(&state)?;
    Ok(files
        .into_iter()
        .filter(|file| pending.contains(&file.version))
        .map(|file| Planned {
            version: file.version,
            what: file.what,
        })
        .collect())
}

/// Keeps migrators out until the transaction ends; false if one is in.
pub(crate) fn try_lock_in_txn(connection: &mut PgConnection) -> QueryResult<bool> {
    lock::try_in_txn(connection)
}

/// Runs, in the caller's transaction, the one migration that makes the place for a
/// stamp: in a database that is adopted without having been ours.
pub(crate) fn make_place_for_stamp(connection: &mut PgConnection) -> Result<(), String> {
    let files = files::compiled_in().map_err(|error| error.to_string())?;
    let first = files.first().ok_or("there are no migrations")?;
    run::run_in_txn(connection, first, &files).map_err(|error| error.to_string())
}

/// What a database's migrations are, for whoever has a connection already.
pub(crate) fn compare(connection: &mut PgConnection) -> QueryResult<Migrations> {
    state::compare(connection, &files::HASHES)
}

fn list(names: &BTreeSet<String>) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.join(", ")
}
