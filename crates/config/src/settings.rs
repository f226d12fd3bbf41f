//! Every setting, as the rest of Slipway sees it: checked, and in types of its own.
//!
//! No secret is a setting of the layered kind; secrets are taken from the
//! environment directly, so that no error of the `config` crate can show one.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use config::ConfigError;
use secrecy::SecretString;
use serde::Deserialize;
use slipway_core::{ByteCount, StoreKind};
use uuid::Uuid;

use crate::layers::Layers;
use crate::s3::S3Settings;
use crate::secrets::{session_secret, session_secret_previous};
use crate::{Environ, Environment, Platform, Refusal, Sighting, TlsMode, environment};

/// All that can be set about a process, checked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which environment this is.
    pub environment: Environment,
    /// Listening.
    pub server: ServerSettings,
    /// The pool.
    pub database: DatabaseSettings,
    /// Where uploads are kept, and their limits.
    pub uploads: UploadSettings,
    /// The worker loop.
    pub jobs: JobSettings,
    /// Signing in.
    pub sessions: SessionSettings,
    /// The log.
    pub log: LogSettings,
    /// Key of all signatures; see `SESSION_SECRET`.
    pub session_secret: SecretString,
    /// The key before that, if what it has signed is still to be accepted.
    pub session_secret_previous: Option<SecretString>,
    /// The bucket of the S3 store, if there is one.
    pub s3: Option<S3Settings>,
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
    /// Origins whose pages may upload here with a token or a key, beside our own;
    /// `*` means all.
    #[serde(deserialize_with = "origins")]
    pub allowed_origins: Vec<String>,
    /// Names by which the site may be asked for, in lower case and without a port;
    /// empty means all.
    #[serde(deserialize_with = "hosts")]
    pub hosts: Vec<String>,
    /// Whether a router in front of us is to be believed. Never `Auto` once loaded.
    pub router: Router,
    /// Requests a second that one network may make; 0 means any number.
    pub requests_per_second: u16,
}

/// Whether a router in front of us says who asks, and by what scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Router {
    /// If the platform is recognised and has one.
    Auto,
    /// There is none, and whoever says so otherwise is a client.
    None,
    /// There is one, and its word is the last of each header.
    Present,
}

impl Router {
    /// What it comes to on this platform.
    fn on(self, platform: Platform) -> Self {
        match (self, platform) {
            (Self::Auto, Platform::Host(host, _)) if host.has_router() => Self::Present,
            (Self::Auto, _) => Self::None,
            (said, _) => said,
        }
    }
}

/// Reads names of hosts with spaces between.
fn hosts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?.to_lowercase();
    let hosts: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
    let sound = |host: &String| {
        !host.contains(['/', '*', '@']) && (host.starts_with('[') || !host.contains(':'))
    };
    if hosts.iter().all(sound) {
        return Ok(hosts);
    }
    Err(serde::de::Error::custom(
        "server.hosts must be names such as files.example.com, without scheme and port, with spaces between",
    ))
}

/// Reads origins with spaces between (RFC 6454 section 6.2).
fn origins<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let text = String::deserialize(deserializer)?;
    let origins: Vec<String> = text.split_whitespace().map(ToOwned::to_owned).collect();
    let sound = |origin: &String| {
        let host = origin
            .strip_prefix("https://")
            .or_else(|| origin.strip_prefix("http://"));
        origin == "*" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
    };
    if origins.iter().all(sound) {
        return Ok(origins);
    }
    Err(serde::de::Error::custom(
        "server.allowed_origins must be * or origins such as https://pages.example.com, with spaces between",
    ))
}

/// The pool, and how it is connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseSettings {
    /// Most connections, the listening one not counted.
    pub pool_max: u32,
    /// Processes that a release starts.
    pub processes: u16,
    /// The least protection of a connection that leaves the machine.
    pub tls: TlsMode,
    /// A file with certificates, or `system`: who must have signed the server's.
    pub tls_authority: Option<String>,
    /// Hosts elsewhere that a process off every platform may dial.
    pub remote_hosts: Vec<String>,
}

/// When the SHA-256 of a file is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashTime {
    /// While the bytes come in: a file is stored, with its hash, the moment it is whole.
    Arrival,
    /// By the inspection: bytes come in for half the processor time, and a file is
    /// stored some time after it is whole.
    Inspection,
}

/// Where uploads are kept, and their limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadSettings {
    /// Where bytes of new uploads are kept; older ones stay where they are.
    pub store: StoreKind,
    /// The folder of the disk store.
    pub disk_path: PathBuf,
    /// When the SHA-256 of a file is made.
    pub hash: HashTime,
    /// The largest file that is taken.
    pub bytes_max: ByteCount,
    /// What all files together may have.
    pub capacity: ByteCount,
    /// What the files of one account together may have.
    pub account_bytes_max: ByteCount,
    /// How many uploads of one account may be incomplete.
    pub account_open_max: u32,
    /// What bytes on their way in may take of this process's memory, and again those
    /// on their way out.
    pub in_flight_max: ByteCount,
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
    database: LayeredDatabase,
    uploads: LayeredUploads,
    jobs: LayeredJobs,
    sessions: LayeredSessions,
    log: LogSettings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayeredDatabase {
    pool_max: u32,
    processes: u16,
    tls: String,
    tls_authority: String,
    remote_hosts: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LayeredUploads {
    store: String,
    disk_path: PathBuf,
    disk_durable: bool,
    hash: HashTime,
    bytes_max: u64,
    capacity_bytes: u64,
    account_bytes_max: u64,
    account_open_max: u32,
    in_flight_bytes_max: u64,
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

impl Settings {
    /// Reads every layer below `folder` and the environment on top.
    ///
    /// # Errors
    /// All faults at once, none of which shows a value.
    pub fn load(environ: &Environ, folder: &Path) -> Result<Self, Faults> {
        let layers = Layers::read(environ, folder, environment(environ).ok());
        Self::from_layers(environ, &layers)
    }

    /// The settings that these layers make.
    ///
    /// # Errors
    /// All faults at once, none of which shows a value.
    pub(crate) fn from_layers(environ: &Environ, layers: &Layers) -> Result<Self, Faults> {
        let environment = environment(environ).map_err(|refusal| undeclared(&refusal));
        let app_id = app_id(environ);
        let deployed = environment
            .as_ref()
            .is_ok_and(|environment| environment.is_deployed());
        let secret = session_secret(environ, deployed);
        let previous = session_secret_previous(environ, deployed);
        let s3 = S3Settings::of(environ, deployed);
        // What is unusable is no part of it, so that there is always something
        // to look at: the faults of single values hide none of the whole.
        let layered = layered(layers);

        let mut faults = Vec::new();
        faults.extend(environment.as_ref().err().cloned());
        faults.extend(secret.as_ref().err().cloned());
        faults.extend(previous.as_ref().err().cloned());
        faults.extend(app_id.err());
        faults.extend(s3.as_ref().err().cloned());
        faults.extend(layers.faults.iter().cloned());
        faults.extend(layered.as_ref().err().cloned());
        if let (Ok(environment), Ok(layered)) = (&environment, &layered) {
            faults.extend(layered.not_allowed_in(*environment));
            if layered.uploads.store == StoreKind::S3.as_str() && matches!(s3, Ok(None)) {
                faults.push(Fault(
                    "uploads.store is s3, and neither S3_BUCKET nor BUCKETEER_BUCKET_NAME is set"
                        .to_owned(),
                ));
            }
        }
        match (environment, secret, previous, s3, layered) {
            (Ok(environment), Ok(secret), Ok(session_secret_previous), Ok(s3), Ok(layered))
                if faults.is_empty() =>
            {
                let settings = layered.into_settings(environment, secret);
                let settings = settings.map_err(|fault| Faults(vec![fault]))?;
                let router = settings.server.router.on(Sighting::of(environ).platform);
                let server = ServerSettings {
                    router,
                    ..settings.server
                };
                Ok(Self {
                    s3,
                    server,
                    session_secret_previous,
                    ..settings
                })
            }
            _ => Err(Faults(faults)),
        }
    }
}

impl LayeredDatabase {
    fn into_settings(self) -> Result<DatabaseSettings, Fault> {
        let tls = self.tls.parse().or(Err(Fault(
            "database.tls is no mode that libpq knows".to_owned(),
        )))?;
        let hosts = self.remote_hosts.split(',').map(str::trim);
        Ok(DatabaseSettings {
            pool_max: self.pool_max,
            processes: self.processes,
            tls,
            tls_authority: Some(self.tls_authority).filter(|text| !text.is_empty()),
            remote_hosts: hosts
                .filter(|host| !host.is_empty())
                .map(str::to_owned)
                .collect(),
        })
    }
}

/// A refusal to name an environment, as one fault among others.
fn undeclared(refusal: &Refusal) -> Fault {
    let ruling = &refusal.ruling;
    Fault(format!(
        "{}; {} (rule {})",
        ruling.evidence, ruling.remedy, ruling.rule
    ))
}

/// Checks `SLIPWAY_APP_ID`; the guard reads it.
fn app_id(environ: &Environ) -> Result<Option<Uuid>, Fault> {
    let parsed = environ.get("SLIPWAY_APP_ID").map(str::parse);
    parsed.transpose().or(Err(Fault(
        "SLIPWAY_APP_ID is no UUID; `uuidgen` makes one".to_owned(),
    )))
}

fn layered(layers: &Layers) -> Result<Layered, Fault> {
    let merged = layers.merged().and_then(config::Config::try_deserialize);
    merged.map_err(|error| shown(&error))
}

/// The sentence for an error of the `config` crate, without the value it holds.
/// Types, bounds and unknown keys were told when the layers were read; what is left
/// is a key that no layer gives, or that the table of keys knows and we do not.
fn shown(error: &ConfigError) -> Fault {
    match error {
        ConfigError::Type { key: Some(key), .. } => Fault(format!("{key} is of another type")),
        ConfigError::At { error, .. } => shown(error),
        ConfigError::NotFound(key) => Fault(format!("{key} is missing")),
        // serde's own sentences, a missing or unknown field: they name no value
        // because every value has been through the table.
        ConfigError::Message(message) => Fault(message.clone()),
        _ => Fault("the layers of the configuration cannot be merged".to_owned()),
    }
}

impl Layered {
    /// What is sound by itself and wrong in this environment.
    fn not_allowed_in(&self, environment: Environment) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !environment.is_deployed() {
            return faults;
        }
        if !self.sessions.secure_cookies {
            faults.push(Fault(format!(
                "sessions.secure_cookies is false, which {environment} does not allow"
            )));
        }
        if self.database.tls == "prefer" {
            faults.push(Fault(format!(
                "database.tls is prefer, which {environment} does not allow"
            )));
        }
        // The disk of a dyno, as of most containers, is gone at the next restart,
        // and with it files whose senders were told that they are safe.
        if self.uploads.store == StoreKind::Disk.as_str() && !self.uploads.disk_durable {
            faults.push(Fault(format!(
                "uploads.store is disk, which {environment} does not allow unless the disk outlives \
                 restarts and releases; if it does, set uploads.disk_durable = true, else use postgres"
            )));
        }
        faults
    }

    fn into_settings(
        self,
        environment: Environment,
        session_secret: SecretString,
    ) -> Result<Settings, Fault> {
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let store = self.uploads.store.parse().or(Err(Fault(
            "uploads.store is no place that there is".to_owned(),
        )))?;
        let bytes = |name: &str, count: u64| {
            ByteCount::try_from(count).or(Err(Fault(format!(
                "uploads.{name} is larger than any file can be"
            ))))
        };
        Ok(Settings {
            environment,
            server: self.server,
            database: self.database.into_settings()?,
            uploads: UploadSettings {
                store,
                disk_path: self.uploads.disk_path,
                hash: self.uploads.hash,
                bytes_max: bytes("bytes_max", self.uploads.bytes_max)?,
                capacity: bytes("capacity_bytes", self.uploads.capacity_bytes)?,
                account_bytes_max: bytes("account_bytes_max", self.uploads.account_bytes_max)?,
                account_open_max: self.uploads.account_open_max,
                in_flight_max: bytes("in_flight_bytes_max", self.uploads.in_flight_bytes_max)?,
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
            session_secret_previous: None,
            s3: None,
        })
    }
}

#[cfg(test)]
mod tests;
