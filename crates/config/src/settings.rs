//! Every setting, with its layers: built-in defaults, `config/default.toml`,
//! `config/<environment>.toml`, the environment.
//!
//! No secret is a setting of the layered kind; secrets are taken from the
//! environment directly, so that no error of the `config` crate can show one.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use config::{Config, ConfigError, File};
use secrecy::SecretString;
use serde::Deserialize;
use slipway_core::ByteCount;

use crate::{Environ, Environment};

/// All that can be set about a process, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which environment this is.
    pub environment: Environment,
    /// Listening.
    pub server: ServerSettings,
    /// The pool.
    pub database: DatabaseSettings,
    /// Limits of uploads.
    pub uploads: UploadSettings,
    /// The worker loop.
    pub jobs: JobSettings,
    /// Signing in.
    pub sessions: SessionSettings,
    /// The log.
    pub log: LogSettings,
    /// Key of all signatures; see `SESSION_SECRET`.
    pub session_secret: SecretString,
}

/// Listening.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerSettings {
    /// The address to listen on.
    pub bind: std::net::IpAddr,
    /// The port to listen on; 0 means any free one. `PORT` wins.
    pub port: u16,
    /// Threads that serve requests. `WEB_CONCURRENCY` wins.
    pub workers: u16,
}

/// The pool.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseSettings {
    /// Most connections, the listening one not counted.
    pub pool_max: u32,
}

/// Where bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StoreKind {
    /// In rows of the database.
    Postgres,
}

/// Limits of uploads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSettings {
    /// Where bytes are kept.
    pub store: StoreKind,
    /// The largest file that is taken.
    pub bytes_max: ByteCount,
    /// How long an unfinished upload waits for its sender.
    pub expires_after: Duration,
}

/// The worker loop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobSettings {
    /// Whether the web process works jobs too.
    pub inline: bool,
    /// Jobs worked at once by one process.
    pub at_once: u16,
    /// How long one attempt may take.
    pub time_limit: Duration,
}

/// Signing in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionSettings {
    /// Whether cookies are `Secure` and `__Host-`; off only where there is no TLS.
    pub secure_cookies: bool,
    /// Unused for so long, a session ends.
    pub idle: Duration,
    /// However used, a session ends.
    pub absolute: Duration,
}

/// The log.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogSettings {
    /// How a line looks.
    pub format: LogFormat,
    /// Which events are shown, as in `RUST_LOG`, which wins.
    pub filter: String,
}

/// How a line of the log looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: one JSON object a line.
    Json,
}

/// One thing that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault(pub String);

/// Everything that is wrong with the configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        for Fault(fault) in &self.0 {
            write!(f, "\n  - {fault}")?;
        }
        Ok(())
    }
}

/// As the files spell it, before checking.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Layered {
    server: ServerSettings,
    database: DatabaseSettings,
    uploads: LayeredUploads,
    jobs: LayeredJobs,
    sessions: LayeredSessions,
    log: LogSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayeredUploads {
    store: StoreKind,
    bytes_max: u64,
    expires_after_seconds: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayeredJobs {
    inline: bool,
    at_once: u16,
    time_limit_seconds: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayeredSessions {
    secure_cookies: bool,
    idle_seconds: u32,
    absolute_seconds: u32,
}

/// The innermost layer, so that a binary without its `config/` folder still
/// starts, with the strictest choice of everything.
const BUILT_IN: &str = include_str!("built_in.toml");

/// 32 random bytes in hexadecimal have 64 characters; half of that is the least
/// that still leaves 128 bits.
const SESSION_SECRET_CHARACTERS_MIN: usize = 32;

impl Settings {
    /// Reads every layer below `folder` and the environment on top.
    ///
    /// # Errors
    /// All faults that can be found at once, none of which shows a secret.
    pub fn load(environ: &Environ, folder: &Path) -> Result<Self, Faults> {
        let mut faults = Vec::new();
        let environment = Environment::declared(environ);
        if let Err(sentence) = &environment {
            faults.push(Fault(sentence.clone()));
        }
        let secret = session_secret(environ);
        if let Err(fault) = &secret {
            faults.push(fault.clone());
        }
        // Without an environment there is no file to read; what can be said
        // about the rest comes with the next try.
        let layered = environment
            .as_ref()
            .ok()
            .map(|environment| layers(environ, folder, *environment));
        if let Some(Err(fault)) = &layered {
            faults.push(fault.clone());
        }
        match (environment, secret, layered) {
            (Ok(environment), Ok(session_secret), Some(Ok(layered))) => {
                layered.checked(environment, session_secret).map_err(Faults)
            }
            _ => Err(Faults(faults)),
        }
    }
}

fn session_secret(environ: &Environ) -> Result<SecretString, Fault> {
    match environ.get("SESSION_SECRET") {
        Some(secret) if secret.chars().count() >= SESSION_SECRET_CHARACTERS_MIN => {
            Ok(SecretString::from(secret))
        }
        Some(secret) => Err(Fault(format!(
            "SESSION_SECRET has {} characters and needs at least {SESSION_SECRET_CHARACTERS_MIN} random ones; \
             `openssl rand -hex 32` makes a good one",
            secret.chars().count()
        ))),
        None => Err(Fault(
            "SESSION_SECRET is not set; `openssl rand -hex 32` makes a good one".to_owned(),
        )),
    }
}

fn layers(environ: &Environ, folder: &Path, environment: Environment) -> Result<Layered, Fault> {
    // What platforms call by a name of their own, as the innermost of the
    // environment's values: `SLIPWAY__SERVER__PORT` still wins over `PORT`.
    let named = [
        ("PORT", "server.port"),
        ("WEB_CONCURRENCY", "server.workers"),
        ("RUST_LOG", "log.filter"),
    ];
    let ours = environ
        .beginning_with("SLIPWAY__")
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut builder = Config::builder()
        .add_source(File::from_str(BUILT_IN, config::FileFormat::Toml))
        .add_source(File::from(folder.join("default.toml")).required(false))
        .add_source(File::from(folder.join(format!("{environment}.toml"))).required(false));
    let overrides = config::Environment::with_prefix("SLIPWAY")
        .prefix_separator("__")
        .separator("__")
        .try_parsing(true)
        .source(Some(ours));
    for (name, key) in named {
        let unset = environ
            .get(&format!(
                "SLIPWAY__{}",
                key.replace('.', "__").to_uppercase()
            ))
            .is_none();
        if let Some(value) = environ.get(name).filter(|_| unset) {
            builder = builder
                .set_override(key, value)
                .map_err(|error| shown(&error))?;
        }
    }
    let built = builder
        .add_source(overrides)
        .build()
        .map_err(|error| shown(&error))?;
    built.try_deserialize().map_err(|error| shown(&error))
}

/// The sentence for an error of the `config` crate, without the value it holds.
fn shown(error: &ConfigError) -> Fault {
    match error {
        ConfigError::Type {
            origin,
            expected,
            key,
            ..
        } => Fault(format!(
            "{} in {} must be {expected}",
            key.as_deref().unwrap_or("a key"),
            origin.as_deref().unwrap_or("the defaults"),
        )),
        ConfigError::At { error, key, .. } => {
            let Fault(inner) = shown(error);
            Fault(format!("{}: {inner}", key.as_deref().unwrap_or("a key")))
        }
        ConfigError::NotFound(key) => Fault(format!("{key} is missing")),
        ConfigError::FileParse { uri, .. } => Fault(format!(
            "{} is not valid TOML",
            uri.as_deref().unwrap_or("a configuration file")
        )),
        // serde's own sentences: an unknown field or variant, a missing key.
        ConfigError::Message(message) => Fault(message.clone()),
        _ => Fault("the configuration files cannot be read".to_owned()),
    }
}

impl Layered {
    fn checked(
        self,
        environment: Environment,
        session_secret: SecretString,
    ) -> Result<Settings, Vec<Fault>> {
        let mut faults = Vec::new();
        let mut at_least_one = |key: &str, value: u64| {
            if value == 0 {
                faults.push(Fault(format!("{key} is 0 and must be at least 1")));
            }
        };
        at_least_one("server.workers", self.server.workers.into());
        at_least_one("jobs.at_once", self.jobs.at_once.into());
        at_least_one(
            "jobs.time_limit_seconds",
            self.jobs.time_limit_seconds.into(),
        );
        at_least_one("uploads.bytes_max", self.uploads.bytes_max);
        at_least_one(
            "uploads.expires_after_seconds",
            self.uploads.expires_after_seconds.into(),
        );
        if self.database.pool_max < 2 {
            // With one connection a request that needs two waits for itself.
            faults.push(Fault(format!(
                "database.pool_max is {} and must be at least 2",
                self.database.pool_max
            )));
        }
        if environment.is_deployed() && !self.sessions.secure_cookies {
            faults.push(Fault(format!(
                "sessions.secure_cookies is false, which {environment} does not allow"
            )));
        }
        let bytes_max = ByteCount::try_from(self.uploads.bytes_max);
        if bytes_max.is_err() {
            faults.push(Fault(
                "uploads.bytes_max is larger than any file can be".to_owned(),
            ));
        }
        match bytes_max {
            Ok(bytes_max) if faults.is_empty() => {
                Ok(self.into_settings(environment, session_secret, bytes_max))
            }
            _ => Err(faults),
        }
    }

    fn into_settings(
        self,
        environment: Environment,
        session_secret: SecretString,
        bytes_max: ByteCount,
    ) -> Settings {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        Settings {
            environment,
            server: self.server,
            database: self.database,
            uploads: UploadSettings {
                store: self.uploads.store,
                bytes_max,
                expires_after: seconds(self.uploads.expires_after_seconds),
            },
            jobs: JobSettings {
                inline: self.jobs.inline,
                at_once: self.jobs.at_once,
                time_limit: seconds(self.jobs.time_limit_seconds),
            },
            sessions: SessionSettings {
                secure_cookies: self.sessions.secure_cookies,
                idle: seconds(self.sessions.idle_seconds),
                absolute: seconds(self.sessions.absolute_seconds),
            },
            log: self.log,
            session_secret,
        }
    }
}

#[cfg(test)]
mod tests;
