//! What of a binary's migrations a database has.
//!
//! It only reads: Diesel's own way to ask would create the table it asks.

use std::collections::{BTreeMap, BTreeSet};

use diesel::prelude::*;
use diesel::sql_types::{Bool, Text};
use slipway_core::Sha256Digest;

use super::files;
use crate::schema::slipway_migrations;
use crate::{Db, DbError};

/// Where Diesel notes which versions have run.
const VERSIONS: &str = "__diesel_schema_migrations";

/// Where we note what ran.
const RECORDS: &str = "slipway_migrations";

/// What of the compiled-in migrations the database has, by version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Migrations {
    /// In this binary and not in the database.
    pub pending: BTreeSet<String>,
    /// In the database and not in this binary: a newer release was here.
    pub unknown: BTreeSet<String>,
    /// In both, but what ran is not what this binary would run.
    pub drifted: BTreeSet<String>,
}

impl Migrations {
    /// Whether this binary may work on this schema: nothing is pending, and what
    /// ran is what it expects. What a newer release has added is no obstacle,
    /// because every release adds only what the one before can live with.
    pub fn is_current(&self) -> bool {
        self.pending.is_empty() && self.drifted.is_empty()
    }
}

impl Db {
    /// Compares the schema with this binary; reads only.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn migrations(&self) -> Result<Migrations, DbError> {
        self.run("comparing the schema", |connection| {
            compare(connection, &files::HASHES)
        })
        .await
    }
}

/// Compares what the database has with what is `compiled` in.
pub(super) fn compare(
    connection: &mut PgConnection,
    compiled: &BTreeMap<String, Sha256Digest>,
) -> QueryResult<Migrations> {
    let applied: BTreeSet<String> = applied(connection)?.into_iter().collect();
    let records: Vec<(String, Vec<u8>)> = if records_exist(connection)? {
        slipway_migrations::table
            .select((slipway_migrations::version, slipway_migrations::sha256))
            .load(connection)?
    } else {
        vec![]
    };
    let drifted = records.into_iter().filter(|(version, sha256)| {
        applied.contains(version)
            && compiled
                .get(version)
                .is_some_and(|ours| ours.as_bytes().as_slice() != sha256.as_slice())
    });
    let drifted = drifted.map(|(version, _)| version).collect();
    let is_applied = |version: &&String| applied.contains(*version);
    Ok(Migrations {
        pending: compiled
            .keys()
            .filter(|version| !is_applied(version))
            .cloned()
            .collect(),
        unknown: applied
            .iter()
            .filter(|version| !compiled.contains_key(*version))
            .cloned()
            .collect(),
        drifted,
    })
}

/// The versions that have run.
pub(super) fn applied(connection: &mut PgConnection) -> QueryResult<Vec<String>> {
    #[derive(QueryableByName)]
    struct Applied {
        #[diesel(sql_type = Text)]
        version: String,
    }
    if !versions_exist(connection)? {
        return Ok(vec![]);
    }
    let rows: Vec<Applied> =
        diesel::sql_query(format!("SELECT version FROM {VERSIONS}")).load(connection)?;
    Ok(rows.into_iter().map(|row| row.version).collect())
}

/// Whether any migration has run here.
pub(super) fn versions_exist(connection: &mut PgConnection) -> QueryResult<bool> {
    table_exists(connection, VERSIONS)
}

/// Whether this database keeps records yet; one migration creates them.
pub(super) fn records_exist(connection: &mut PgConnection) -> QueryResult<bool> {
    table_exists(connection, RECORDS)
}

/// Whether the schema has such a table.
pub(crate) fn table_exists(connection: &mut PgConnection, table: &str) -> QueryResult<bool> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Bool)]
        found: bool,
    }
    let answer: Found = diesel::sql_query("SELECT to_regclass($1) IS NOT NULL AS found")
        .bind::<Text, _>(table)
        .get_result(connection)?;
    Ok(answer.found)
}
