//! Throw-away databases for tests, each a copy of one migrated template.
//!
//! It never reads `DATABASE_URL`, and it is not part of the shipped binary.

use std::fs::OpenOptions;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Binary, Bool, Text};
use secrecy::{ExposeSecret, SecretString};
pub use slipway_config::Environment;
use slipway_config::{
    Access, ApprovedDatabase, DatabaseSettings, Environ, Permit, TlsMode, approve, marker,
};
use uuid::Uuid;

use crate::connect::{ConnectError, connect};
use crate::{Db, look, migrate, stamp};

/// Held while the template is made, so that of many test processes one does it.
const TEMPLATE_LOCK: i64 = 0x51_1b_0a_70_00_00_00_02;

/// One of the two servers that a test run has.
#[derive(Clone, Copy)]
struct Server {
    /// The variable with its address.
    variable: &'static str,
    /// The variable with its address by TCP, if it has one.
    door: &'static str,
}

const ONE: Server = Server {
    variable: "TEST_DATABASE_URL",
    door: "TEST_DOOR_URL",
};

const OTHER: Server = Server {
    variable: "TEST_OTHER_DATABASE_URL",
    door: "TEST_OTHER_DOOR_URL",
};

/// An empty, migrated database that nobody else uses; gone when dropped.
pub struct TestDatabase {
    door: Option<SecretString>,
    approved: ApprovedDatabase,
    url: SecretString,
    server: ApprovedDatabase,
    permit: Permit,
}

impl TestDatabase {
    /// Makes one on the server that `TEST_DATABASE_URL` names.
    ///
    /// # Errors
    /// When there is no such server, or the guard refuses it.
    pub fn create() -> Result<Self> {
        Self::create_from(ONE, template)
    }

    /// Makes one on the other server of the run, which could be mistaken for the first;
    /// `None` if there is none.
    ///
    /// # Errors
    /// When the guard refuses it.
    pub fn create_on_other() -> Result<Option<Self>> {
        if Environ::of_process()?.get(OTHER.variable).is_none() {
            return Ok(None);
        }
        Self::create_from(OTHER, template).map(Some)
    }

    /// The same without a schema, as a release phase finds it the first time.
    ///
    /// # Errors
    /// When there is no such server, or the guard refuses it.
    pub fn create_empty() -> Result<Self> {
        Self::create_from(ONE, |_, _| Ok("template0".to_owned()))
    }

    /// The same on the other server of the run; `None` if there is none.
    ///
    /// # Errors
    /// When the guard refuses it.
    pub fn create_empty_on_other() -> Result<Option<Self>> {
        if Environ::of_process()?.get(OTHER.variable).is_none() {
            return Ok(None);
        }
        Self::create_from(OTHER, |_, _| Ok("template0".to_owned())).map(Some)
    }

    fn create_from(
        on: Server,
        template: impl FnOnce(&mut PgConnection, &str) -> Result<String>,
    ) -> Result<Self> {
        let environ = Environ::of_process()?;
        let given = environ.get(on.variable).context(
            "TEST_DATABASE_URL is not set; `cargo xtask test` brings up a server and sets it",
        )?;
        let server = approved(&SecretString::from(given), Access::Read)?;
        let mut admin = connect(&server)?.connection;
        let template = template(&mut admin, given)?;
        let name = format!("slipway_{}_test", Uuid::now_v7().simple());
        admin.batch_execute(&format!(
            "CREATE DATABASE {name} TEMPLATE {template} STRATEGY = FILE_COPY"
        ))?;
        let url = address(given, &name);
        let approved = approved(&url, Access::Write)?;
        bind_stamp(&approved)?;
        let permit = approved.permit(&look(&approved)?)?;
        Self::known_as(on, given, &name, permit)
    }

    fn known_as(on: Server, given: &str, name: &str, permit: Permit) -> Result<Self> {
        let environ = Environ::of_process()?;
        let url = address(given, name);
        Ok(Self {
            door: environ.get(on.door).map(|door| address(door, name)),
            approved: approved(&url, Access::Write)?,
            server: approved(&SecretString::from(given), Access::Read)?,
            url,
            permit,
        })
    }

    /// What the guard said to it.
    pub fn approved(&self) -> &ApprovedDatabase {
        &self.approved
    }

    /// What the guard says to it for another purpose.
    ///
    /// # Errors
    /// When the guard refuses it.
    pub fn approved_to(&self, access: Access) -> Result<ApprovedDatabase> {
        approved(&self.url, access)
    }

    /// The value of `TEST_DATABASE_URL` with which another process uses it.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// Its address by TCP, if its server has one.
    pub fn door(&self) -> Option<&SecretString> {
        self.door.as_ref()
    }

    /// What the other server of the run has said.
    ///
    /// # Errors
    /// When there is no other server, or its log cannot be read.
    pub fn log_of_other() -> Result<String> {
        let environ = Environ::of_process()?;
        let path = environ
            .get("TEST_OTHER_LOG")
            .context("there is no other server")?;
        let text = std::fs::read(path).with_context(|| format!("reading {path}"))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// The file with the certificate that the other server shows, if it has one.
    ///
    /// # Errors
    /// When the environment cannot be read.
    pub fn certificate_of_other() -> Result<Option<String>> {
        let environ = Environ::of_process()?;
        Ok(environ.get("TEST_OTHER_CERTIFICATE").map(str::to_owned))
    }

    /// Says that it is something else: what a platform would have written.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn restamp(&self, environment: Environment, app_id: Option<Uuid>) -> Result<()> {
        let here = look(&self.approved_to(Access::Look)?)?.here;
        let marker = marker(environment, app_id, &here);
        let app_id = app_id.map_or_else(|| "NULL".to_owned(), |id| format!("'{id}'"));
        self.execute(&format!(
            "UPDATE slipway_stamp SET environment = '{environment}', app_id = {app_id}, \
                 database_oid = {}, system_identifier = {}, marked = true; \
             COMMENT ON DATABASE {} IS '{marker}'",
            here.oid,
            here.system.unwrap_or_default(),
            here.name
        ))
    }

    /// A pool on it.
    ///
    /// # Errors
    /// When the operating system refuses the threads.
    pub fn open(&self) -> Result<Db> {
        Ok(Db::open(&self.approved, &settings())?)
    }

    /// Runs SQL that no release contains: what a test arranges or looks at.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn execute(&self, sql: &str) -> Result<()> {
        Ok(self.unguarded()?.batch_execute(sql)?)
    }

    /// Runs SQL in a transaction that stays open, with all its locks, until the
    /// answer is dropped.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn hold(&self, sql: &str) -> Result<Held> {
        let mut connection = self.unguarded()?;
        connection.batch_execute(&format!("BEGIN; {sql}"))?;
        Ok(Held {
            _connection: connection,
        })
    }

    /// Inserts `chunk` so many times into a table like that of chunks, over one
    /// connection, each in a transaction of its own; how long that took. The fastest
    /// that bytes can go in, and so the reference for how fast they do.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn time_inserts(&self, chunk: &[u8], times: usize) -> Result<Duration> {
        let mut connection = self.unguarded()?;
        connection.batch_execute(
            "CREATE TABLE raw (LIKE chunks INCLUDING STORAGE INCLUDING COMPRESSION \
             INCLUDING INDEXES INCLUDING CONSTRAINTS)",
        )?;
        let id = Uuid::now_v7();
        let began = Instant::now();
        for number in 0..times {
            let start = i64::try_from(number * chunk.len())?;
            diesel::sql_query("INSERT INTO raw (upload_id, start_byte, data) VALUES ($1, $2, $3)")
                .bind::<diesel::sql_types::Uuid, _>(id)
                .bind::<BigInt, _>(start)
                .bind::<Binary, _>(chunk)
                .execute(&mut connection)?;
        }
        Ok(began.elapsed())
    }

    /// The rows of a query with one text column called `value`.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn query(&self, sql: &str) -> Result<Vec<String>> {
        #[derive(QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            value: String,
        }
        let mut connection = self.unguarded()?;
        let rows: Vec<Row> = diesel::sql_query(sql).load(&mut connection)?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }

    /// A connection that the guard was not asked about: what tests arrange is often
    /// just what it refuses.
    fn unguarded(&self) -> Result<PgConnection> {
        let string = self.approved.dial()?;
        Ok(PgConnection::establish(string.expose_secret())?)
    }
}

/// Says that a test could not be made here, and why: on a line of the file that
/// `TEST_SKIPPED` names, so that the sum over all suites does not count it as passed.
///
/// # Errors
/// When the file cannot be written.
pub fn skip(why: &str) -> Result<()> {
    let environ = Environ::of_process()?;
    let Some(path) = environ.get("TEST_SKIPPED") else {
        return Ok(());
    };
    let mut file = OpenOptions::new().create(true).append(true).open(path)?;
    let name = std::thread::current().name().unwrap_or("a test").to_owned();
    // One write, so that lines of several processes do not mix.
    file.write_all(format!("{name}: {why}\n").as_bytes())
        .with_context(|| format!("writing to {path}"))
}

/// An open transaction; see [`TestDatabase::hold`].
pub struct Held {
    _connection: PgConnection,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        // FORCE: a server that a test has just killed may still be connected.
        let drop = format!(
            "DROP DATABASE IF EXISTS {} WITH (FORCE)",
            self.permit.database()
        );
        // What cannot be dropped stays until its cluster goes.
        let _dropped = connect(&self.server).map(|mut admin| admin.connection.batch_execute(&drop));
    }
}

/// The name of the migrated template, made first if it is not there.
fn template(admin: &mut PgConnection, given: &str) -> Result<String> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let name = format!("slipway_template_{:016x}_test", migrations_hash()?);
    diesel::sql_query("SELECT pg_advisory_lock($1)")
        .bind::<BigInt, _>(TEMPLATE_LOCK)
        .execute(admin)?;
    let there: Found = diesel::sql_query(
        "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1 AND datistemplate) AS found",
    )
    .bind::<Text, _>(&name)
    .get_result(admin)?;
    if !there.found {
        admin.batch_execute(&format!("DROP DATABASE IF EXISTS {name}"))?;
        admin.batch_execute(&format!("CREATE DATABASE {name}"))?;
        migrate(&approved(&address(given, &name), Access::Migrate)?)?;
        // Marked last: a template that is not marked was not finished.
        admin.batch_execute(&format!(
            "ALTER DATABASE {name} WITH IS_TEMPLATE true ALLOW_CONNECTIONS false"
        ))?;
    }
    diesel::sql_query("SELECT pg_advisory_unlock($1)")
        .bind::<BigInt, _>(TEMPLATE_LOCK)
        .execute(admin)?;
    Ok(name)
}

/// Changes whenever a migration does.
fn migrations_hash() -> Result<u64> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../migrations");
    let mut hasher = DefaultHasher::new();
    let mut folders: Vec<_> = std::fs::read_dir(&folder)?.collect::<std::io::Result<Vec<_>>>()?;
    folders.sort_by_key(std::fs::DirEntry::file_name);
    for entry in folders {
        let up = entry.path().join("up.sql");
        if up.is_file() {
            entry.file_name().hash(&mut hasher);
            std::fs::read(up)?.hash(&mut hasher);
        }
    }
    Ok(hasher.finish())
}

/// `given` with another database.
fn address(given: &str, database: &str) -> SecretString {
    let (before, parameters) = given
        .split_once('?')
        .map_or((given, None), |(a, b)| (a, Some(b)));
    let server = before.rsplit_once('/').map_or(before, |(server, _)| server);
    let parameters = parameters
        .map(|text| format!("?{text}"))
        .unwrap_or_default();
    SecretString::from(format!("{server}/{database}{parameters}"))
}

fn approved(url: &SecretString, access: Access) -> Result<ApprovedDatabase> {
    let environ = Environ::from([
        ("SLIPWAY_ENV", "test"),
        ("TEST_DATABASE_URL", url.expose_secret()),
    ]);
    Ok(approve(&environ, &settings(), access)?)
}

fn settings() -> DatabaseSettings {
    DatabaseSettings {
        pool_max: 4,
        processes: 1,
        tls: TlsMode::Prefer,
        tls_authority: None,
        remote_hosts: Vec::new(),
    }
}

/// A copy of the template has the template's stamp; this makes it its own.
fn bind_stamp(approved: &ApprovedDatabase) -> Result<()> {
    let mut connection = match connect(approved) {
        Ok(connected) => connected.connection,
        // Nothing is in it yet: then there is nothing to bind.
        Err(ConnectError::Refused(refusal)) if refusal.passing => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    connection
        .transaction(|connection| stamp::write_in_txn(connection, approved, "made for a test"))?;
    Ok(())
}
