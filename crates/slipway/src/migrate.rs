//! `slipway migrate`: the release phase.

use anyhow::Context;

use crate::open::Opened;

/// Brings the schema up to date and says what ran.
pub(crate) fn run(opened: &Opened) -> anyhow::Result<()> {
    let database = opened.database.redacted();
    let ran = slipway_db::migrate(&opened.database)
        .with_context(|| format!("the schema of {database} was not brought up to date"))?;
    match ran.as_slice() {
        [] => tracing::info!("the schema of {database} is up to date"),
        ran => tracing::info!("migrated {database}: {}", ran.join(", ")),
    }
    Ok(())
}
