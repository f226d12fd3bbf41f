//! Migrations: compiled in, run by one migrator at a time.
//!
//! Nothing but [`migrate`] changes the schema, and looking at what is pending
//! writes nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::pg::{Pg, PgConnection};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::ExposeSecret;
use slipway_config::ApprovedDatabase;

use crate::{Db, DbError};

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// The advisory lock that a migrator holds; any constant will do, as long as it
/// is not one that other programs are fond of.
const LOCK: i64 = 0x51_1b_0a_70_00_00_00_01;

/// How long to wait for another migrator: release phases may overlap.
const LOCK_WAIT: Duration = Duration::from_secs(300);

/// How often to look whether the other migrator is done.
const LOCK_LOOK_EVERY: Duration = Duration::from_millis(250);

/// A migration that waits for a lock blocks everybody behind it; better to give
/// up and leave the old schema working.
const SESSION: &str = "SET lock_timeout = '5s'; SET statement_timeout = '15min'";

/// Why the schema was not brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database cannot be reached.
    #[error("the database cannot be reached")]
    Unreachable(#[source] ConnectionError),
    /// Another migrator does not come to an end.
    #[error("another migration has been running for {} s", LOCK_WAIT.as_secs())]
    Locked,
    /// A statement of our own failed.
    #[error("the database failed while preparing to migrate")]
    Failed(#[from] diesel::result::Error),
    /// A migration failed; its transaction was rolled back.
    #[error("a migration failed and was rolled back: {0}")]
    Migration(String),
}

/// What of the compiled-in migrations the database has, by version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// In this binary and not in the database.
    pub pending: BTreeSet<String>,
    /// In the database and not in this binary: a newer release was here.
    pub unknown: BTreeSet<String>,
}

impl Migrations {
    /// Whether this binary may work on this schema: nothing is pending. What a
    /// newer release has added is no obstacle, because every release adds only
    /// what the one before can live with.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty()
    }
}

/// Brings the schema up to date, as the only migrator; says which versions ran.
///
/// # Errors
/// When the database cannot be reached, another migrator does not end, or a
/// migration fails. Migrations before the failing one stay.
pub fn migrate(approved: &ApprovedDatabase) -> Result<Vec<String>, MigrateError> {
    let mut connection = PgConnection::establish(approved.connection_string().expose_secret())
        .map_err(MigrateError::Unreachable)?;
    connection.batch_execute(SESSION)?;
    lock(&mut connection)?;
    // The lock goes with the connection, however this ends.
    let ran = connection
        .run_pending_migrations(MIGRATIONS)
        .map_err(|error| MigrateError::Migration(error.to_string()))?;
    Ok(ran.iter().map(ToString::to_string).collect())
}

fn lock(connection: &mut PgConnection) -> Result<(), MigrateError> {
    #[derive(QueryableByName)]
    struct Locked {
        #[diesel(sql_type = Bool)]
        locked: bool,
    }
    let began = Instant::now();
    loop {
        let answer: Locked = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS locked")
            .bind::<BigInt, _>(LOCK)
            .get_result(connection)?;
        if answer.locked {
            return Ok(());
        }
        if began.elapsed() >= LOCK_WAIT {
            return Err(MigrateError::Locked);
        }
        tracing::info!(
            waited_seconds = began.elapsed().as_secs(),
            "another migration is running"
        );
        std::thread::sleep(LOCK_LOOK_EVERY);
    }
}

impl Db {
    /// Compares the schema with this binary; reads only.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn migrations(&self) -> Result<Migrations, DbError> {
        #[derive(QueryableByName)]
        struct Applied {
            #[diesel(sql_type = Text)]
            version: String,
        }
        let compiled = compiled_in();
        self.run("comparing the schema", move |connection| {
            // diesel's own way to ask would create the table it asks.
            let table: Option<Applied> = diesel::sql_query(
                "SELECT to_regclass('__diesel_schema_migrations')::text AS version \
                 WHERE to_regclass('__diesel_schema_migrations') IS NOT NULL",
            )
            .get_result(connection)
            .optional()?;
            let applied: BTreeSet<String> = match table {
                None => BTreeSet::new(),
                Some(_) => diesel::sql_query("SELECT version FROM __diesel_schema_migrations")
                    .load::<Applied>(connection)?
                    .into_iter()
                    .map(|row| row.version)
                    .collect(),
            };
            Ok(Migrations {
                pending: compiled.difference(&applied).cloned().collect(),
                unknown: applied.difference(&compiled).cloned().collect(),
            })
        })
        .await
    }
}

fn compiled_in() -> BTreeSet<String> {
    use diesel::migration::MigrationSource;
    let migrations = MigrationSource::<Pg>::migrations(&MIGRATIONS).unwrap_or_default();
    migrations
        .iter()
        .map(|migration| migration.name().version().to_string())
        .collect()
}
