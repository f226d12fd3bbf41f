//! The release phase, as a platform runs it: processes, side by side, that may be
//! killed.

use std::process::Output;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use slipway_db::testing::TestDatabase;
use slipway_tests::{SESSION_SECRET, Site, output_of, spawn};

/// How many release phases meet.
const MIGRATORS: usize = 8;

/// How soon another migrator goes on when the first was killed.
const SUCCESSION_MAX: Duration = Duration::from_secs(10);

fn environment(database: &TestDatabase) -> [(&str, &str); 3] {
    [
        ("SLIPWAY_ENV", "test"),
        ("SESSION_SECRET", SESSION_SECRET),
        ("TEST_DATABASE_URL", database.url().expose_secret()),
    ]
}

fn migrate(database: &TestDatabase) -> Result<Output> {
    output_of(&["migrate"], &environment(database))
}

fn log_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// How many migrations there are.
fn migrations() -> Result<usize> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
    let mut count = 0;
    for entry in std::fs::read_dir(folder)? {
        count += usize::from(entry?.path().is_dir());
    }
    Ok(count)
}

fn records(database: &TestDatabase) -> Result<usize> {
    let counted =
        database.query("SELECT version AS value FROM slipway_migrations WHERE tries = 1")?;
    Ok(counted.len())
}

#[test]
fn eight_migrators_on_an_empty_database_run_each_migration_once() -> Result<()> {
    let database = TestDatabase::create_empty()?;

    let outputs: Vec<Result<Output>> = std::thread::scope(|scope| {
        let migrators: Vec<_> = (0..MIGRATORS)
            .map(|_| scope.spawn(|| migrate(&database)))
            .collect();
        migrators
            .into_iter()
            .map(|migrator| migrator.join().unwrap())
            .collect()
    });

    let mut ran = 0;
    for output in outputs {
        let output = output?;
        assert_eq!(output.status.code(), Some(0), "{}", log_of(&output));
        ran += log_of(&output).matches(" ms, tries: 1").count();
    }
    assert_eq!(ran, migrations()?);
    assert_eq!(records(&database)?, migrations()?);
    Ok(())
}

#[test]
fn a_migrator_that_is_killed_in_the_middle_is_succeeded_by_the_next() -> Result<()> {
    let database = TestDatabase::create_empty()?;
    // A migration that takes a minute, from its second table on.
    database.execute(
        "CREATE FUNCTION take_long() RETURNS event_trigger LANGUAGE plpgsql AS \
             'BEGIN IF to_regclass(''accounts'') IS NOT NULL THEN PERFORM pg_sleep(60); END IF; END'; \
         CREATE EVENT TRIGGER take_long ON ddl_command_start WHEN TAG IN ('CREATE TABLE') \
             EXECUTE FUNCTION take_long()",
    )?;
    let mut first = spawn(&["migrate"], &environment(&database))?;
    let sleeps = "SELECT pid::text AS value FROM pg_stat_activity \
                  WHERE datname = current_database() AND wait_event = 'PgSleep'";
    let began = Instant::now();
    while database.query(sleeps)?.is_empty() {
        anyhow::ensure!(began.elapsed() < Duration::from_secs(30), "it never began");
        std::thread::sleep(Duration::from_millis(20));
    }
    database.execute("DROP EVENT TRIGGER take_long")?;

    first.kill().context("SIGKILL")?;
    first.wait()?;
    let killed = Instant::now();
    let second = migrate(&database)?;

    let took = killed.elapsed();
    assert_eq!(second.status.code(), Some(0), "{}", log_of(&second));
    assert!(took < SUCCESSION_MAX, "{took:?}");
    assert!(
        log_of(&second).contains("another migration is running"),
        "{}",
        log_of(&second)
    );
    // The stamp, which the first one had committed, among them.
    let known = database.query("SELECT version AS value FROM slipway_migrations")?;
    assert_eq!(known.len(), migrations()?);
    Ok(())
}

#[test]
fn a_transaction_in_the_way_is_waited_for_in_turns() -> Result<()> {
    let database = TestDatabase::create()?;
    database.execute(
        "DROP TABLE jobs; SET slipway.migrating = 'yes'; DELETE FROM __diesel_schema_migrations WHERE version = '20261122100200'",
    )?;
    // Referring to uploads needs a lock that whoever writes to it is in the way of.
    let writer = database.hold("UPDATE uploads SET seq = seq")?;

    let output = std::thread::scope(|scope| {
        let migrator = scope.spawn(|| migrate(&database));
        std::thread::sleep(Duration::from_millis(2500));
        drop(writer);
        migrator.join().unwrap()
    })?;

    let log = log_of(&output);
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(
        log.contains("20261122100200 needs a lock that others hold (try 1; the oldest"),
        "{log}"
    );
    assert!(log.contains("ms, tries: 2"), "{log}");
    Ok(())
}

#[test]
fn a_dry_run_lists_what_would_run_and_writes_nothing() -> Result<()> {
    let empty = TestDatabase::create_empty()?;
    let schema = "SELECT relname::text AS value FROM pg_class \
                  WHERE relnamespace = 'public'::regnamespace ORDER BY 1";

    let planned = output_of(&["migrate", "--dry-run"], &environment(&empty))?;

    assert_eq!(planned.status.code(), Some(0), "{}", log_of(&planned));
    let planned = String::from_utf8(planned.stdout)?;
    assert_eq!(planned.lines().count(), migrations()?, "{planned}");
    assert!(
        planned.starts_with("20261122090000\tthe stamp that says what this database is"),
        "{planned}"
    );
    assert_eq!(empty.query(schema)?, Vec::<String>::new());

    let current = TestDatabase::create()?;
    let nothing = output_of(&["migrate", "--dry-run"], &environment(&current))?;
    assert_eq!(nothing.status.code(), Some(0), "{}", log_of(&nothing));
    assert!(nothing.stdout.is_empty());
    Ok(())
}

#[test]
fn an_edited_migration_is_refused_with_a_remedy() -> Result<()> {
    let site = Site::start()?;
    site.database().execute(
        "UPDATE slipway_migrations SET sha256 = sha256('edited') WHERE version = '20261122100100'",
    )?;

    let refused = migrate(site.database())?;
    let ready = site.answer("/readyz")?;

    let log = log_of(&refused);
    assert_eq!(refused.status.code(), Some(1), "{log}");
    assert!(
        log.contains("20261122100100 ran here with another text")
            && log.contains("put up.sql back as it was released"),
        "{log}"
    );
    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.contains("drifted: 20261122100100"),
        "{ready}"
    );
    Ok(())
}

#[test]
fn a_server_that_starts_before_the_release_waits_for_it() -> Result<()> {
    let database = TestDatabase::create_empty()?;
    let site = Site::start_unready(database.url().expose_secret())?;

    let before = site.wait_for("/readyz", "refused by rule B1: its release has not run yet")?;
    let migrated = migrate(&database)?;
    let after = site.wait_for("/readyz", "\"status\":\"ready\"")?;

    assert!(before.starts_with("HTTP/1.1 503"), "{before}");
    assert_eq!(migrated.status.code(), Some(0), "{}", log_of(&migrated));
    assert!(after.starts_with("HTTP/1.1 200"), "{after}");
    Ok(())
}
