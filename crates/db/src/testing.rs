//! Throw-away databases for tests, each a copy of one migrated template.
//!
//! It never reads `DATABASE_URL`, and it is not part of the shipped binary.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;

use anyhow::{Context, Result};
use diesel::connection::SimpleConnection;
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Bool, Text};
use secrecy::{ExposeSecret, SecretString};
use slipway_config::{
    Access, ApprovedDatabase, DatabaseSettings, Environ, Permit, TlsMode, approve,
};
use uuid::Uuid;

use crate::connect::{ConnectError, connect};
use crate::{Db, look, migrate, stamp};

/// Held while the template is made, so that of many test processes one does it.
const TEMPLATE_LOCK: i64 = 0x51_1b_0a_70_00_00_00_02;

/// An empty, migrated database that nobody else uses; gone when dropped.
pub struct TestDatabase {
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
        Self::create_from(template)
    }

    /// The same without a schema, as a release phase finds it the first time.
    ///
    /// # Errors
    /// When there is no such server, or the guard refuses it.
    pub fn create_empty() -> Result<Self> {
        Self::create_from(|_, _| Ok("template0".to_owned()))
    }

    fn create_from(
        template: impl FnOnce(&mut PgConnection, &str) -> Result<String>,
    ) -> Result<Self> {
        let environ = Environ::of_process()?;
        let given = environ.get("TEST_DATABASE_URL").context(
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
        Ok(Self {
            permit: approved.permit(&look(&approved)?)?,
            approved,
            url,
            server,
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
