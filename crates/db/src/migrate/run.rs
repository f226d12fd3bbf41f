//! From the lock to the last pending migration.
//!
//! It never waits for a table's lock for long: whoever waits for one blocks
//! everybody who comes later. It gives up, lets the others through, tries again.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::time::{Duration, Instant};

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::Text;
use diesel_migrations::MigrationHarness;
use slipway_config::{ApprovedDatabase, Duty};
use time::OffsetDateTime;

use super::files::File;
use super::records::{self, Record};
use super::state::{self, Migrations};
use super::{MigrateError, Migrated, Ran, lock};
use crate::connect::ConnectError;
use crate::listen::jitter;
use crate::stamp;

/// The longest a statement of a migration may run. A release phase that takes
/// longer holds up the release; what takes longer belongs into a job.
const STATEMENT_MAX: Duration = Duration::from_secs(15 * 60);

/// How long a statement outside a transaction may wait for a lock: building an
/// index concurrently waits for every older transaction, and blocks nobody.
const LOCK_MAX_ALONE: Duration = Duration::from_secs(60);

/// How soon the server notices that a migrator was killed in the middle of a
/// statement, rolls back, and lets the next one in.
const CLIENT_LOOKED_AT_EVERY: Duration = Duration::from_secs(2);

/// How long to wait for what. A value, so that tests need not wait as long.
pub(super) struct Pace {
    /// For another migrator.
    pub(super) migrator_max: Duration,
    /// For the lock of a table, each time.
    pub(super) lock_max: Duration,
    /// Between two tries; there is one try more than there are pauses.
    pub(super) pauses: [Duration; 5],
}

impl Pace {
    /// Release phases may overlap, and Heroku's ends after an hour. Six tries of
    /// 2 s and at most 23 s of pauses: 35 s until a migration is given up.
    pub(super) const RELEASE: Self = Self {
        migrator_max: Duration::from_secs(300),
        lock_max: Duration::from_secs(2),
        pauses: [
            Duration::from_secs(1),
            Duration::from_secs(2),
            Duration::from_secs(4),
            Duration::from_secs(8),
            Duration::from_secs(8),
        ],
    };

    /// What the connection is told first.
    pub(super) fn session(&self) -> String {
        limits(self.lock_max)
    }
}

/// Runs what is pending, as the only migrator.
pub(super) fn bring_up_to_date(
    connection: &mut PgConnection,
    approved: &ApprovedDatabase,
    files: &[File],
    pace: &Pace,
) -> Result<Migrated, MigrateError> {
    connection.batch_execute(&pace.session())?;
    connection.batch_execute(OURS)?;
    for wish in [
        // Our retries know a lock time-out by its English text; only a superuser
        // may choose the language, and without it there is one try.
        "SET lc_messages = 'C'".to_owned(),
        // Not every system that Postgres runs on can do this; the next migrator
        // then waits until the statement of a killed one has ended.
        format!(
            "SET client_connection_check_interval = {}",
            CLIENT_LOOKED_AT_EVERY.as_millis()
        ),
    ] {
        if let Err(error) = connection.batch_execute(&wish) {
            tracing::debug!(%error, "going on without: {wish}");
        }
    }
    lock::take(connection, pace.migrator_max)?;

    // Whatever was known before the lock may no longer be so: another migrator may have
    // written the stamp, and the guard decides anew.
    let found = stamp::look(connection).map_err(ConnectError::Unseen)?;
    let duty = approved.admit(&found).map_err(ConnectError::Refused)?.duty;
    let hashes = files
        .iter()
        .map(|file| (file.version.clone(), file.sha256))
        .collect::<BTreeMap<_, _>>();
    let state = state::compare(connection, &hashes)?;
    let pending = accept(&state)?;
    warn_of_late_ones(connection, pending)?;
    let mut migrator = Migrator {
        connection,
        approved,
        stamps: duty != Duty::None,
        files,
        pace,
        records: vec![],
        migrated: Migrated {
            unknown: state.unknown.clone(),
            ..Migrated::default()
        },
    };
    for file in files.iter().filter(|file| pending.contains(&file.version)) {
        migrator.run(file)?;
    }
    migrator.rebind(duty)?;
    Ok(migrator.migrated)
}

/// What the trigger on the list of migrations asks for; see the migration `stamp`.
const OURS: &str = "SET slipway.migrating = 'yes'";

/// A migration that is older than one that ran was merged late, and was never tried
/// in this order.
fn warn_of_late_ones(connection: &mut PgConnection, pending: &BTreeSet<String>) -> QueryResult<()> {
    let newest = state::applied(connection)?.into_iter().max();
    for version in pending
        .iter()
        .filter(|version| Some(*version) < newest.as_ref())
    {
        tracing::warn!(
            version,
            "{version} is older than what has run here; it runs now"
        );
    }
    Ok(())
}

/// One migration, in the transaction of somebody who holds the lock.
pub(super) fn run_in_txn(
    connection: &mut PgConnection,
    file: &File,
    files: &[File],
) -> Result<(), Fault> {
    connection.batch_execute(&OURS.replace("SET", "SET LOCAL"))?;
    let (began, started_at) = (Instant::now(), OffsetDateTime::now_utc());
    let record = run_file(
        connection,
        file,
        Start {
            began,
            started_at,
            tries: 1,
        },
    )?;
    Ok(records::write(connection, &[record], files)?)
}

/// When a try began, and which one it is.
#[derive(Clone, Copy)]
struct Start {
    began: Instant,
    started_at: OffsetDateTime,
    tries: u32,
}

fn run_file(connection: &mut PgConnection, file: &File, start: Start) -> Result<Record, Fault> {
    create_versions(connection)?;
    connection.run_migration(file.migration.as_ref())?;
    Ok(Record {
        version: file.version.clone(),
        sha256: file.sha256,
        started_at: start.started_at,
        finished_at: OffsetDateTime::now_utc(),
        milliseconds: i64::try_from(start.began.elapsed().as_millis()).unwrap_or(i64::MAX),
        tries: i32::try_from(start.tries).unwrap_or(i32::MAX),
    })
}

/// What is pending, unless this binary has no business with the schema.
pub(super) fn accept(state: &Migrations) -> Result<&BTreeSet<String>, MigrateError> {
    if state.drifted.is_empty() {
        Ok(&state.pending)
    } else {
        Err(MigrateError::Drifted {
            versions: state.drifted.clone(),
        })
    }
}

struct Migrator<'a> {
    connection: &'a mut PgConnection,
    approved: &'a ApprovedDatabase,
    /// Whether the stamp is still to be written, with the migration that makes its place.
    stamps: bool,
    files: &'a [File],
    pace: &'a Pace,
    /// Of all that ran: the first of them run before there is a table to keep them.
    records: Vec<Record>,
    migrated: Migrated,
}

/// Why a try failed; Diesel's type for it.
type Fault = Box<dyn Error + Send + Sync>;

impl Migrator<'_> {
    /// Runs one migration, again and again if others are in its way.
    fn run(&mut self, file: &File) -> Result<(), MigrateError> {
        let alone = !file.migration.metadata().run_in_transaction();
        // Each time, because a migration could have changed them.
        self.connection.batch_execute(&limits(if alone {
            LOCK_MAX_ALONE
        } else {
            self.pace.lock_max
        }))?;
        tracing::info!(version = file.version, "{}: {}", file.version, file.what);
        let mut pauses = self.pace.pauses.iter();
        let mut tries = 1;
        loop {
            let fault = match self.attempt(file, tries, alone) {
                Ok(record) => {
                    self.done(record, tries);
                    return if alone {
                        self.look_for_invalid_indexes()
                    } else {
                        Ok(())
                    };
                }
                Err(fault) => fault,
            };
            if alone {
                return Err(self.half_done(file, fault.as_ref()));
            }
            let version = file.version.clone();
            if !is_lock_timeout(fault.as_ref()) {
                let why = fault.to_string();
                return Err(MigrateError::RolledBack { version, why });
            }
            let Some(pause) = pauses.next() else {
                return Err(MigrateError::InTheWay { version, tries });
            };
            let pause = pause.mul_f64(jitter());
            tracing::warn!(
                version,
                tries,
                "{version} needs a lock that others hold (try {tries}; {}); trying again in {:.1} s",
                self.oldest_transaction(),
                pause.as_secs_f64()
            );
            std::thread::sleep(pause);
            tries += 1;
        }
    }

    /// One try. Change, version and record are committed together, or not at all.
    fn attempt(&mut self, file: &File, tries: u32, alone: bool) -> Result<Record, Fault> {
        let start = Start {
            began: Instant::now(),
            started_at: OffsetDateTime::now_utc(),
            tries,
        };
        let (files, earlier, stamps) = (self.files, &self.records, self.stamps);
        let approved = self.approved;
        let work = |connection: &mut PgConnection| -> Result<Record, Fault> {
            let record = run_file(connection, file, start)?;
            let mut records = earlier.clone();
            records.push(record.clone());
            records::write(connection, &records, files)?;
            if stamps && stamp::has_place(connection)? {
                stamp::write_in_txn(connection, approved, "first migrated")?;
            }
            Ok(record)
        };
        let record = if alone {
            work(self.connection)
        } else {
            self.connection.transaction(work)
        }?;
        // Written with the first migration, or left to `rebind`.
        self.stamps = false;
        Ok(record)
    }

    /// Binds the stamp to the database of this app, which has moved.
    fn rebind(&mut self, duty: Duty) -> Result<(), MigrateError> {
        if duty == Duty::Rebind {
            let approved = self.approved;
            self.connection.transaction(|connection| {
                stamp::write_in_txn(connection, approved, "bound anew")
            })?;
            tracing::warn!(
                "the stamp is bound to the database as it is now: it was moved, copied or upgraded"
            );
        }
        Ok(())
    }

    fn done(&mut self, record: Record, tries: u32) {
        let took = Duration::from_millis(record.milliseconds.unsigned_abs());
        self.migrated.ran.push(Ran {
            version: record.version.clone(),
            took,
            tries,
        });
        self.records.push(record);
    }

    fn look_for_invalid_indexes(&mut self) -> Result<(), MigrateError> {
        self.migrated.invalid_indexes = invalid_indexes(self.connection)?;
        Ok(())
    }

    fn half_done(&mut self, file: &File, fault: &(dyn Error + Send + Sync)) -> MigrateError {
        MigrateError::HalfDone {
            version: file.version.clone(),
            why: fault.to_string(),
            // What cannot be looked at is not told; the fault itself matters more.
            invalid_indexes: invalid_indexes(self.connection).unwrap_or_default(),
        }
    }

    /// Who is most likely in the way, for a person.
    fn oldest_transaction(&mut self) -> String {
        let oldest = texts(
            self.connection,
            "SELECT format('the oldest transaction is %s s old, process %s %s', \
                 round(extract(epoch FROM clock_timestamp() - xact_start)), pid, application_name) AS value \
             FROM pg_stat_activity WHERE datname = current_database() \
                 AND pid <> pg_backend_pid() AND xact_start IS NOT NULL \
             ORDER BY xact_start LIMIT 1",
        );
        oldest
            .ok()
            .and_then(|found| found.into_iter().next())
            .unwrap_or_else(|| "no transaction is open now".to_owned())
    }
}

/// Limits for what follows on a connection.
fn limits(lock_max: Duration) -> String {
    format!(
        "SET lock_timeout = {}; SET statement_timeout = {}",
        lock_max.as_millis(),
        STATEMENT_MAX.as_millis()
    )
}

/// Makes the table of Diesel, in the transaction of the first migration.
fn create_versions(connection: &mut PgConnection) -> Result<(), Fault> {
    if state::versions_exist(connection)? {
        return Ok(());
    }
    connection.applied_migrations().map(drop)
}

/// Diesel keeps the code of an error (55P03) to itself; its text is what is left.
fn is_lock_timeout(fault: &(dyn Error + Send + Sync)) -> bool {
    fault
        .to_string()
        .contains("canceling statement due to lock timeout")
}

fn invalid_indexes(connection: &mut PgConnection) -> QueryResult<BTreeSet<String>> {
    texts(
        connection,
        "SELECT indexrelid::regclass::text AS value FROM pg_index \
         JOIN pg_class ON pg_class.oid = indexrelid \
         WHERE NOT indisvalid AND relnamespace = current_schema()::regnamespace",
    )
    .map(BTreeSet::from_iter)
}

/// The rows of a query with one text column called `value`.
fn texts(connection: &mut PgConnection, sql: &str) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        value: String,
    }
    let rows: Vec<Row> = diesel::sql_query(sql).load(connection)?;
    Ok(rows.into_iter().map(|row| row.value).collect())
}
