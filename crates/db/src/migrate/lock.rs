//! One migrator at a time.
//!
//! It never blocks inside the database: a waiting statement would be a transaction
//! that stays open, and `CREATE INDEX CONCURRENTLY` of the migrator ahead would
//! wait for that one.

use std::time::{Duration, Instant};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool};

use super::MigrateError;

/// The advisory lock that a migrator holds. Any constant will do, as long as other
/// programs are not fond of it and every release has the same. Postgres keeps the
/// advisory locks of each database apart, so two databases of one cluster do not
/// wait for each other.
pub(super) const LOCK: i64 = 0x51_1b_0a_70_00_00_00_01;

/// How often to look whether the other migrator is done.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often to say that it is not: with five minutes to wait, thirty lines.
const SAY_EVERY: Duration = Duration::from_secs(10);

#[derive(QueryableByName)]
struct Locked {
    #[diesel(sql_type = Bool)]
    locked: bool,
}

/// Takes the lock until the transaction ends, if it is free.
pub(super) fn try_in_txn(connection: &mut PgConnection) -> QueryResult<bool> {
    let answer: Locked = diesel::sql_query("SELECT pg_try_advisory_xact_lock($1) AS locked")
        .bind::<BigInt, _>(LOCK)
        .get_result(connection)?;
    Ok(answer.locked)
}

/// Takes the lock, waiting `at_most` that long for another migrator. It is given
/// back with the connection, however the process ends.
pub(super) fn take(connection: &mut PgConnection, at_most: Duration) -> Result<(), MigrateError> {
    let began = Instant::now();
    let mut said: Option<Instant> = None;
    loop {
        let answer: Locked = diesel::sql_query("SELECT pg_try_advisory_lock($1) AS locked")
            .bind::<BigInt, _>(LOCK)
            .get_result(connection)?;
        let waited_seconds = began.elapsed().as_secs();
        if answer.locked {
            if said.is_some() {
                tracing::info!(
                    waited_seconds,
                    "the other migration is done, after {waited_seconds} s of waiting"
                );
            }
            return Ok(());
        }
        if began.elapsed() >= at_most {
            return Err(MigrateError::Locked { waited_seconds });
        }
        if said.is_none_or(|at| at.elapsed() >= SAY_EVERY) {
            tracing::info!(
                waited_seconds,
                "another migration is running; waited {waited_seconds} of at most {} s",
                at_most.as_secs()
            );
            said = Some(Instant::now());
        }
        std::thread::sleep(LOOK_EVERY);
    }
}
