//! From the environment to an opened database: the first steps of every command.
//!
//! It never goes on after a refusal, and a refusal is told apart from a failure.

use std::path::Path;
use std::sync::Arc;

use slipway_config::{Access, ApprovedDatabase, Environ, Settings, approve};
use slipway_db::{Budget, ConnectError, Db};
use slipway_ingest::Ingest;
use tokio::sync::oneshot;

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

/// Reads the configuration and asks the guard whether the database may be dialled.
pub(crate) fn open(access: Access) -> Result<Opened, Refused> {
    let refused = |error: &dyn std::fmt::Display| Refused(error.to_string());
    let environ = Environ::of_process().map_err(|error| refused(&error))?;
    let settings = Settings::load(&environ, folder(&environ)).map_err(|error| refused(&error))?;
    let database =
        approve(&environ, &settings.database, access).map_err(|error| refused(&error))?;
    Ok(Opened {
        settings: Arc::new(settings),
        database,
    })
}

/// The folder with the files of the configuration.
pub(crate) fn folder(environ: &Environ) -> &Path {
    Path::new(environ.get("SLIPWAY_CONFIG_DIR").unwrap_or(CONFIG_FOLDER))
}

/// A refusal is one, wherever it came from.
pub(crate) fn told(error: ConnectError) -> anyhow::Error {
    match error {
        ConnectError::Refused(refusal) => refusal.into(),
        error => error.into(),
    }
}

impl Opened {
    /// Asks the database what it is, and the guard what that allows.
    pub(crate) fn admit(&self) -> Result<(), ConnectError> {
        let admission = slipway_db::admission(&self.database)?;
        if let Some(warning) = admission.warning {
            tracing::warn!(rule = warning.rule, "{warning}");
        }
        Ok(())
    }

    /// The same beside a server that is already listening. Comes true only when the
    /// guard refuses for good: a database that is away, or whose release has not run
    /// yet, is waited for.
    pub(crate) async fn refused_for_good(&self) -> anyhow::Error {
        let (answer, answered) = oneshot::channel();
        let database = self.database.clone();
        let settings = Arc::clone(&self.settings);
        let asking = std::thread::Builder::new()
            .name("slipway-admit".to_owned())
            .spawn(move || {
                let opened = Self { settings, database };
                let admitted = opened.admit();
                if admitted.is_ok() {
                    opened.say_budget();
                }
                // Whoever asked may have left.
                let _unheard = answer.send(admitted);
            });
        if let Err(error) = asking {
            return anyhow::Error::new(error).context("starting to ask the database what it is");
        }
        match answered.await {
            Ok(Err(ConnectError::Refused(refusal))) if !refusal.passing => refusal.into(),
            Ok(Err(error)) => {
                tracing::warn!(%error, "not ready: {error}");
                std::future::pending().await
            }
            Ok(Ok(())) | Err(_) => std::future::pending().await,
        }
    }

    /// Says whether the database has as many connections as a release may take.
    fn say_budget(&self) {
        match slipway_db::limits(&self.database) {
            Ok(limits) => {
                let budget = Budget::of(&self.settings.database, limits);
                if budget.holds() {
                    tracing::info!("budget of connections: {budget}");
                } else {
                    tracing::warn!("budget of connections: {budget}; see `slipway check`");
                }
            }
            // Told by whoever needs the database.
            Err(error) => tracing::debug!(%error, "the budget of connections is not known"),
        }
    }

    /// Says aloud that nothing was declared.
    pub(crate) fn say_what_is_assumed(&self) {
        if self.database.is_assumed() {
            tracing::warn!(
                rule = "A6",
                "SLIPWAY_ENV is not set on this dyno, so it is taken for {}; set it",
                self.settings.environment
            );
        }
    }

    /// A pool, and the use cases on it.
    pub(crate) fn ingest(&self) -> std::io::Result<(Db, Ingest)> {
        let db = Db::open(&self.database, &self.settings.database)?;
        let ingest = Ingest::new(db.clone(), Arc::clone(&self.settings));
        Ok((db, ingest))
    }
}
