//! From the environment to an opened database: the first steps of every command.
//!
//! It never goes on after a refusal, and a refusal is told apart from a failure.

use std::path::Path;
use std::sync::Arc;

use slipway_config::{ApprovedDatabase, Environ, Settings, approve};
use slipway_db::Db;
use slipway_ingest::Ingest;

/// Where the files of the configuration are, seen from where the process starts.
const CONFIG_FOLDER: &str = "config";

/// The configuration or the guard said no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Refused(pub(crate) String);

/// What every command starts from.
pub(crate) struct Opened {
    pub(crate) settings: Arc<Settings>,
    pub(crate) database: ApprovedDatabase,
}

/// Reads the configuration and asks the guard.
pub(crate) fn open() -> Result<Opened, Refused> {
    let refused = |error: &dyn std::fmt::Display| Refused(error.to_string());
    let environ = Environ::of_process().map_err(|error| refused(&error))?;
    let settings = Settings::load(&environ, folder(&environ)).map_err(|error| refused(&error))?;
    let database = approve(settings.environment, &environ).map_err(|error| refused(&error))?;
    Ok(Opened {
        settings: Arc::new(settings),
        database,
    })
}

/// The folder with the files of the configuration.
pub(crate) fn folder(environ: &Environ) -> &Path {
    Path::new(environ.get("SLIPWAY_CONFIG_DIR").unwrap_or(CONFIG_FOLDER))
}

impl Opened {
    /// A pool, and the use cases on it.
    pub(crate) fn ingest(&self) -> std::io::Result<(Db, Ingest)> {
        let db = Db::open(&self.database, &self.settings.database)?;
        let ingest = Ingest::new(db.clone(), Arc::clone(&self.settings));
        Ok((db, ingest))
    }
}
