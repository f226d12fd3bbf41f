//! `slipway migrate`: the release phase.
//!
//! It only tells what happened; what happens is in the database crate.

use std::io::Write;

use anyhow::Context;
use slipway_db::MigrateError;

use crate::open::{Opened, told};

/// Brings the schema up to date and says, on the log, what ran.
pub(crate) fn run(opened: &Opened) -> anyhow::Result<()> {
    let database = opened.database.redacted();
    let migrated = slipway_db::migrate(&opened.database)
        .map_err(because)
        .with_context(|| format!("the schema of {database} was not brought up to date"))?;
    for ran in &migrated.ran {
        tracing::info!(
            version = ran.version,
            milliseconds = ran.took.as_millis(),
            tries = ran.tries,
            "ran {} in {} ms, tries: {}",
            ran.version,
            ran.took.as_millis(),
            ran.tries
        );
    }
    if !migrated.unknown.is_empty() {
        let unknown: Vec<String> = migrated.unknown.into_iter().collect();
        tracing::warn!(
            "this release does not know {}: a newer one has been here, and its changes stay",
            unknown.join(", ")
        );
    }
    if !migrated.invalid_indexes.is_empty() {
        let invalid: Vec<String> = migrated.invalid_indexes.into_iter().collect();
        tracing::error!(
            "these indexes are not valid and serve nobody: {}; drop them and build them again",
            invalid.join(", ")
        );
    }
    match migrated.ran.len() {
        0 => tracing::info!("the schema of {database} is up to date"),
        count => tracing::info!(count, "migrated {database}, migrations: {count}"),
    }
    Ok(())
}

/// Lists, on standard output, what [`run`] would run: version, tab, purpose.
pub(crate) fn list(opened: &Opened) -> anyhow::Result<()> {
    let database = opened.database.redacted();
    let planned = slipway_db::migrate_plan(&opened.database)
        .map_err(because)
        .with_context(|| format!("the schema of {database} could not be compared"))?;
    if planned.is_empty() {
        tracing::info!("the schema of {database} is up to date");
    }
    let mut out = std::io::stdout().lock();
    for migration in planned {
        writeln!(out, "{}\t{}", migration.version, migration.what)
            .context("writing to standard output")?;
    }
    Ok(())
}

fn because(error: MigrateError) -> anyhow::Error {
    match error {
        MigrateError::Connect(error) => told(error),
        error => error.into(),
    }
}
