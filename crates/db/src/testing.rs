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
use slipway_config::{ApprovedDatabase, DatabaseSettings, Environ, Environment, approve};
use uuid::Uuid;

use crate::{Db, migrate};

/// Held while the template is made, so that of many test processes one does it.
const TEMPLATE_LOCK: i64 = 0x51_1b_0a_70_00_00_00_02;

/// An empty, migrated database that nobody else uses; gone when dropped.
pub struct TestDatabase {
    approved: ApprovedDatabase,
    url: SecretString,
    server: ApprovedDatabase,
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
        let server = approve(Environment::Test, &environ)?;
        let mut admin = PgConnection::establish(server.connection_string().expose_secret())?;
        let template = template(&mut admin, given)?;
        let name = format!("slipway_{}_test", Uuid::now_v7().simple());
        admin.batch_execute(&format!(
            "CREATE DATABASE {name} TEMPLATE {template} STRATEGY = FILE_COPY"
        ))?;
        Ok(Self {
            approved: approved(given, &name)?,
            url: address(given, &name),
            server,
        })
    }

    /// What the guard said to it.
    pub fn approved(&self) -> &ApprovedDatabase {
        &self.approved
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
        Ok(Db::open(&self.approved, &DatabaseSettings { pool_max: 4 })?)
    }

    /// Runs SQL that no release contains: what a test arranges or looks at.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn execute(&self, sql: &str) -> Result<()> {
        let string = self.approved.connection_string();
        Ok(PgConnection::establish(string.expose_secret())?.batch_execute(sql)?)
    }

    /// Runs SQL in a transaction that stays open, with all its locks, until the
    /// answer is dropped.
    ///
    /// # Errors
    /// Whatever the database says.
    pub fn hold(&self, sql: &str) -> Result<Held> {
        let string = self.approved.connection_string();
        let mut connection = PgConnection::establish(string.expose_secret())?;
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
        let string = self.approved.connection_string();
        let mut connection = PgConnection::establish(string.expose_secret())?;
        let rows: Vec<Row> = diesel::sql_query(sql).load(&mut connection)?;
        Ok(rows.into_iter().map(|row| row.value).collect())
    }
}

/// An open transaction; see [`TestDatabase::hold`].
pub struct Held {
    _connection: PgConnection,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let string = self.server.connection_string();
        let name = self.approved.address().database();
        // FORCE: a server that a test has just killed may still be connected.
        let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
        // What cannot be dropped stays until its cluster goes.
        let _dropped = PgConnection::establish(string.expose_secret())
            .map(|mut admin| admin.batch_execute(&drop));
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
        migrate(&approved(given, &name)?)?;
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

fn approved(given: &str, database: &str) -> Result<ApprovedDatabase> {
    let url = address(given, database);
    let environ = Environ::from([("TEST_DATABASE_URL", url.expose_secret())]);
    Ok(approve(Environment::Test, &environ)?)
}
