//! The rows of `slipway_migrations`.
//!
//! It never decides whether a migration has run: Diesel's own table does.

use std::collections::BTreeSet;

use diesel::prelude::*;
use diesel::sql_types::{Text, Timestamptz};
use diesel::upsert::excluded;
use slipway_core::Sha256Digest;
use time::OffsetDateTime;

use super::files::File;
use super::state::records_exist;
use crate::schema::slipway_migrations;

/// A migration that this process has run.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) version: String,
    pub(super) sha256: Sha256Digest,
    pub(super) started_at: OffsetDateTime,
    pub(super) finished_at: OffsetDateTime,
    pub(super) milliseconds: i64,
    pub(super) tries: i32,
}

/// Writes `records`, and whatever is known of migrations that ran before there
/// were records. Does nothing while there is no table for them: the migration that
/// creates it will find all of them here again.
pub(super) fn write(
    connection: &mut PgConnection,
    records: &[Record],
    files: &[File],
) -> QueryResult<()> {
    if !records_exist(connection)? {
        return Ok(());
    }
    for record in records {
        upsert(connection, record)?;
    }
    fill_in(connection, files)
}

fn upsert(connection: &mut PgConnection, record: &Record) -> QueryResult<()> {
    use slipway_migrations as column;
    diesel::insert_into(column::table)
        .values((
            column::version.eq(&record.version),
            column::sha256.eq(record.sha256.as_bytes().as_slice()),
            column::binary_version.eq(env!("CARGO_PKG_VERSION")),
            column::started_at.eq(record.started_at),
            column::finished_at.eq(record.finished_at),
            column::duration_ms.eq(record.milliseconds),
            column::tries.eq(record.tries),
        ))
        // Taken back by hand and run again: the newest run is the one that counts.
        .on_conflict(column::version)
        .do_update()
        .set((
            column::sha256.eq(excluded(column::sha256)),
            column::binary_version.eq(excluded(column::binary_version)),
            column::started_at.eq(excluded(column::started_at)),
            column::finished_at.eq(excluded(column::finished_at)),
            column::duration_ms.eq(excluded(column::duration_ms)),
            column::tries.eq(excluded(column::tries)),
        ))
        .execute(connection)
        .map(drop)
}

/// Of a migration without a record, its time is known to Diesel and its text is
/// taken to be ours: nothing remembers another.
fn fill_in(connection: &mut PgConnection, files: &[File]) -> QueryResult<()> {
    #[derive(QueryableByName)]
    struct Applied {
        #[diesel(sql_type = Text)]
        version: String,
        #[diesel(sql_type = Timestamptz)]
        run_on: OffsetDateTime,
    }
    let recorded: BTreeSet<String> = slipway_migrations::table
        .select(slipway_migrations::version)
        .load(connection)?
        .into_iter()
        .collect();
    // Diesel's column has no zone; Diesel's sessions are in UTC.
    let applied: Vec<Applied> = diesel::sql_query(
        "SELECT version, run_on AT TIME ZONE 'UTC' AS run_on FROM __diesel_schema_migrations",
    )
    .load(connection)?;
    for row in applied {
        let file = files.iter().find(|file| file.version == row.version);
        if let Some(file) = file.filter(|_| !recorded.contains(&row.version)) {
            diesel::insert_into(slipway_migrations::table)
                .values((
                    slipway_migrations::version.eq(&file.version),
                    slipway_migrations::sha256.eq(file.sha256.as_bytes().as_slice()),
                    slipway_migrations::finished_at.eq(row.run_on),
                ))
                .execute(connection)?;
        }
    }
    Ok(())
}
