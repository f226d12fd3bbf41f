//! The promises of a migrator, kept on a real server.

use std::ffi::OsStr;
use std::fmt;
use std::time::{Duration, Instant};

use diesel::connection::BoxableConnection;
use diesel::migration::{self, Migration, MigrationMetadata, MigrationName, MigrationVersion};
use diesel::pg::Pg;
use slipway_config::Access;

use super::files::{self, File};
use super::run::{Pace, bring_up_to_date};
use super::{MigrateError, Migrated, connect, lock, migrate, migrate_plan};
use crate::testing::TestDatabase;

/// Like a release, in a fraction of its time.
const HASTE: Pace = Pace {
    migrator_max: Duration::from_millis(600),
    lock_max: Duration::from_millis(100),
    pauses: [Duration::from_millis(200); 5],
};

/// The version of the migrations that these tests add.
const ADDED: &str = "29991231235959";

/// A migration that no release contains.
struct Added {
    up: &'static str,
    in_transaction: bool,
}

impl Migration<Pg> for Added {
    fn run(&self, connection: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        Ok(connection.batch_execute(self.up)?)
    }

    fn revert(&self, _: &mut dyn BoxableConnection<Pg>) -> migration::Result<()> {
        Err("nothing here is taken back".into())
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

impl MigrationMetadata for Added {
    fn run_in_transaction(&self) -> bool {
        self.in_transaction
    }
}

impl MigrationName for Added {
    fn version(&self) -> MigrationVersion<'_> {
        ADDED.into()
    }
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ADDED}_added")
    }
}

/// What this binary has, and one more that runs in a transaction.
fn files_and(up: &'static str) -> Vec<File> {
    files_with(up, true)
}

fn files_with(up: &'static str, in_transaction: bool) -> Vec<File> {
    let mut files = files::compiled_in().unwrap();
    files.push(File::new(Box::new(Added { up, in_transaction }), up));
    files
}

fn hastily(database: &TestDatabase, files: &[File]) -> Result<Migrated, MigrateError> {
    let approved = database.approved_to(Access::Migrate).unwrap();
    bring_up_to_date(
        &mut connect(&approved)?.connection,
        &approved,
        files,
        &HASTE,
    )
}

fn versions_of(migrated: &Migrated) -> Vec<&str> {
    migrated
        .ran
        .iter()
        .map(|ran| ran.version.as_str())
        .collect()
}

/// Everything a schema consists of, and what has been noted about it.
fn whole(database: &TestDatabase) -> Vec<String> {
    database
        .query(
            "SELECT table_name || '.' || column_name AS value FROM information_schema.columns \
             WHERE table_schema = 'public' \
             UNION ALL SELECT version FROM __diesel_schema_migrations \
             UNION ALL SELECT version || ' recorded' FROM slipway_migrations ORDER BY 1",
        )
        .unwrap()
}

/// Takes back this migration and all later ones, as if they had never run.
fn take_back_to(database: &TestDatabase, version: &str) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations");
    let mut changes: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir() && path.file_name().unwrap() >= OsStr::new(version))
        .collect();
    changes.sort();
    for change in changes.iter().rev() {
        let down = std::fs::read_to_string(change.join("down.sql")).unwrap();
        database.execute(&down).unwrap();
    }
    let forget = format!(
        "SET slipway.migrating = 'yes'; DELETE FROM __diesel_schema_migrations WHERE version >= '{version}'"
    );
    database.execute(&forget).unwrap();
}

#[test]
fn each_migration_is_recorded_with_the_hash_of_what_ran() {
    let database = TestDatabase::create().unwrap();

    let records = database
        .query(
            "SELECT concat_ws(' ', version, encode(sha256, 'hex'), binary_version, tries, \
                 finished_at >= started_at AND duration_ms >= 0) AS value \
             FROM slipway_migrations ORDER BY version",
        )
        .unwrap();

    let expected: Vec<String> = files::compiled_in()
        .unwrap()
        .iter()
        .map(|file| {
            let release = env!("CARGO_PKG_VERSION");
            format!("{} {} {release} 1 t", file.version, file.sha256)
        })
        .collect();
    assert_eq!(records, expected);
}

#[test]
fn what_ran_before_there_were_records_is_filled_in_when_they_appear() {
    let database = TestDatabase::create().unwrap();
    let before = whole(&database);
    take_back_to(&database, "20261122110000");

    migrate(&database.approved_to(Access::Migrate).unwrap()).unwrap();

    assert_eq!(whole(&database), before);
    let told = database
        .query(
            "SELECT concat_ws(' ', version, started_at IS NULL, tries, \
                 now() - finished_at BETWEEN '0' AND '1 day') AS value \
             FROM slipway_migrations WHERE version <= '20261122110000' ORDER BY version",
        )
        .unwrap();
    assert_eq!(
        told,
        [
            "20261122090000 t t",
            "20261122100000 t t",
            "20261122100100 t t",
            "20261122100200 t t",
            "20261122110000 f 1 t"
        ]
    );
}

#[tokio::test]
async fn a_text_other_than_the_one_that_ran_is_refused_by_its_version() {
    let database = TestDatabase::create().unwrap();
    database
        .execute(
            "UPDATE slipway_migrations SET sha256 = sha256('edited') \
             WHERE version = '20261122100100'",
        )
        .unwrap();
    let before = whole(&database);

    let refused = hastily(&database, &files_and("CREATE TABLE added (id int)"));
    let planned = migrate_plan(database.approved());
    let state = database.open().unwrap().migrations().await.unwrap();

    let error = refused.unwrap_err().to_string();
    assert!(
        error.starts_with("20261122100100 ran here with another text"),
        "{error}"
    );
    assert!(matches!(planned, Err(MigrateError::Drifted { .. })));
    assert!(!state.is_current() && state.drifted.contains("20261122100100"));
    assert_eq!(whole(&database), before);
}

#[tokio::test]
async fn versions_that_only_one_side_knows_are_told_apart() {
    let database = TestDatabase::create().unwrap();
    database
        .execute(&format!(
            "SET slipway.migrating = 'yes'; \
             INSERT INTO __diesel_schema_migrations (version) VALUES ('{ADDED}')"
        ))
        .unwrap();

    let migrated = migrate(&database.approved_to(Access::Migrate).unwrap()).unwrap();
    let state = database.open().unwrap().migrations().await.unwrap();

    assert_eq!(migrated.ran, []);
    assert_eq!(migrated.unknown, [ADDED.to_owned()].into());
    assert!(state.is_current() && state.unknown == migrated.unknown);
}

#[test]
fn a_long_reader_is_given_way_to_and_the_old_schema_goes_on_working() {
    let database = TestDatabase::create().unwrap();
    let files = files_and("ALTER TABLE uploads ADD COLUMN added int");
    let before = whole(&database);
    let _reader = database.hold("SELECT count(*) FROM uploads").unwrap();

    let given_up = hastily(&database, &files);

    let Err(MigrateError::InTheWay { version, tries }) = given_up else {
        panic!("{given_up:?}");
    };
    assert_eq!((version.as_str(), tries), (ADDED, 6));
    assert_eq!(whole(&database), before);
    // Nobody queues behind the migrator any more.
    let began = Instant::now();
    database.execute("UPDATE uploads SET seq = seq").unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_reader_that_ends_in_time_costs_tries_and_nothing_else() {
    let database = TestDatabase::create().unwrap();
    let files = files_and("ALTER TABLE uploads ADD COLUMN added int");
    let reader = database.hold("SELECT count(*) FROM uploads").unwrap();
    let leaves = std::thread::spawn(move || {
        std::thread::sleep(HASTE.lock_max * 3);
        drop(reader);
    });

    let migrated = hastily(&database, &files).unwrap();
    leaves.join().unwrap();

    assert_eq!(versions_of(&migrated), [ADDED]);
    let tries = migrated.ran[0].tries;
    assert!((2..=6).contains(&tries), "{tries}");
    let recorded = database
        .query(&format!(
            "SELECT tries::text AS value FROM slipway_migrations WHERE version = '{ADDED}'"
        ))
        .unwrap();
    assert_eq!(recorded, [tries.to_string()]);
}

#[test]
fn a_migrator_waits_for_another_of_its_database_and_for_no_other() {
    let (here, elsewhere) = (
        TestDatabase::create().unwrap(),
        TestDatabase::create_empty().unwrap(),
    );
    let holder = here
        .hold(&format!("SELECT pg_advisory_lock({})", lock::LOCK))
        .unwrap();

    let waited = hastily(&here, &files_and("SELECT 1"));
    let meanwhile = hastily(&elsewhere, &files::compiled_in().unwrap());
    drop(holder);
    let afterwards = hastily(&here, &files_and("SELECT 1"));

    assert!(
        matches!(waited, Err(MigrateError::Locked { .. })),
        "{waited:?}"
    );
    assert_eq!(meanwhile.unwrap().ran.len(), files::HASHES.len());
    assert_eq!(versions_of(&afterwards.unwrap()), [ADDED]);
}

#[test]
fn a_migration_that_fails_leaves_nothing_and_keeps_those_before_it() {
    let database = TestDatabase::create_empty().unwrap();

    let failed = hastily(
        &database,
        &files_and("CREATE TABLE added (id int); SELECT 1 / 0"),
    );

    let error = failed.unwrap_err().to_string();
    assert!(
        error.starts_with(ADDED) && error.contains("division by zero"),
        "{error}"
    );
    let after = whole(&database);
    assert_eq!(after, whole(&TestDatabase::create().unwrap()));
}

#[test]
fn an_index_that_could_not_be_built_is_named() {
    let database = TestDatabase::create().unwrap();
    database
        .execute(
            "INSERT INTO accounts (id, email, role) VALUES \
             (gen_random_uuid(), 'a@example.com', 'member'), \
             (gen_random_uuid(), 'b@example.com', 'member')",
        )
        .unwrap();
    let build = "CREATE UNIQUE INDEX CONCURRENTLY added ON accounts (role)";

    let failed = hastily(&database, &files_with(build, false));

    let Err(MigrateError::HalfDone {
        invalid_indexes, ..
    }) = failed
    else {
        panic!("{failed:?}");
    };
    assert_eq!(invalid_indexes, ["added".to_owned()].into());

    // A migration that takes the name for the thing does not hide it.
    let hides = "CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS added ON accounts (role)";
    let migrated = hastily(&database, &files_with(hides, false)).unwrap();
    assert_eq!(versions_of(&migrated), [ADDED]);
    assert_eq!(migrated.invalid_indexes, invalid_indexes);
}

#[test]
fn a_plan_is_made_without_the_lock_and_without_writing() {
    let database = TestDatabase::create_empty().unwrap();
    let _other = database
        .hold(&format!("SELECT pg_advisory_lock({})", lock::LOCK))
        .unwrap();

    let planned = migrate_plan(&database.approved_to(Access::Read).unwrap()).unwrap();

    let versions: Vec<String> = planned.iter().map(|plan| plan.version.clone()).collect();
    assert_eq!(versions, files::HASHES.keys().cloned().collect::<Vec<_>>());
    assert!(planned[0].what.starts_with("the stamp that says what"));
    let tables = "SELECT relname::text AS value FROM pg_class \
                  WHERE relnamespace = 'public'::regnamespace";
    assert_eq!(database.query(tables).unwrap(), Vec::<String>::new());
}
