//! The lines of `slipway check`: what was found, and what to do about it.

use std::fmt;

use serde_json::{Value, json};
use slipway_config::{
    Access, ApprovedDatabase, Environ, Host, Platform, Reach, Refusal, Settings, Sighting,
};
use slipway_core::StoreKind;
use slipway_db::{Budget, ConnectError, Examined};

use crate::{DONE, FAILED, REFUSED};

/// How it stands, the best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// As it should be.
    Ok,
    /// It works, or may work soon, but not as well as it should.
    Degraded,
    /// It must not or cannot work.
    Refused,
}

impl State {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Degraded => "degraded",
            Self::Refused => "refused",
        }
    }

    pub(super) fn exit_code(self) -> u8 {
        match self {
            Self::Ok => DONE,
            Self::Degraded => FAILED,
            Self::Refused => REFUSED,
        }
    }
}

/// One line.
pub(super) struct Finding {
    pub(super) state: State,
    name: &'static str,
    detail: String,
    /// Empty if there is nothing to do.
    remedy: String,
}

impl Finding {
    pub(super) fn ok(name: &'static str, detail: impl fmt::Display) -> Self {
        Self::new(State::Ok, name, detail, "")
    }

    fn degraded(name: &'static str, detail: impl fmt::Display, remedy: impl fmt::Display) -> Self {
        Self::new(State::Degraded, name, detail, remedy)
    }

    pub(super) fn refused(
        name: &'static str,
        detail: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Self::new(State::Refused, name, detail, remedy)
    }

    fn new(
        state: State,
        name: &'static str,
        detail: impl fmt::Display,
        remedy: impl fmt::Display,
    ) -> Self {
        Self {
            state,
            name,
            detail: detail.to_string(),
            remedy: remedy.to_string(),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let remedy = Some(&self.remedy).filter(|remedy| !remedy.is_empty());
        json!({ "name": self.name, "status": self.state.as_str(), "detail": self.detail, "remedy": remedy })
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:8}  {:13}  {}",
            self.state.as_str(),
            self.name,
            self.detail
        )?;
        if !self.remedy.is_empty() {
            write!(f, "\n{:25}-> {}", "", self.remedy)?;
        }
        Ok(())
    }
}

/// A refusal of the guard; one that time may heal is no more than a delay.
pub(super) fn refusal(name: &'static str, refusal: &Refusal) -> Finding {
    let ruling = &refusal.ruling;
    let detail = format!(
        "rule {}: {}; {}",
        ruling.rule, ruling.evidence, ruling.reason
    );
    match refusal.passing {
        true => Finding::degraded(name, detail, &ruling.remedy),
        false => Finding::refused(name, detail, &ruling.remedy),
    }
}

pub(super) fn platform(environ: &Environ) -> Finding {
    let platform = Sighting::of(environ).platform;
    match platform {
        Platform::None | Platform::Host(..) => Finding::ok("platform", platform),
        Platform::Copied(_) | Platform::Several(..) => Finding::refused(
            "platform",
            platform,
            "start without the variables that do not belong here; `slipway config explain --why-environment` lists them",
        ),
    }
}

pub(super) fn configuration(environ: &Environ, settings: &Settings) -> Finding {
    let environment = settings.environment;
    if environment.is_deployed() && environ.get("SLIPWAY_APP_ID").is_none() {
        return Finding::degraded(
            "configuration",
            format!("{environment}, and SLIPWAY_APP_ID is not set"),
            "set it to a UUID (`uuidgen`), so that no other app's database is taken for this one's",
        );
    }
    Finding::ok("configuration", format!("{environment}, no faults"))
}

/// Everything that the database itself tells.
pub(super) fn database(approved: &ApprovedDatabase, settings: &Settings) -> Vec<Finding> {
    let examined = match slipway_db::examine(approved) {
        Ok(examined) => examined,
        Err(ConnectError::Refused(refused)) => return vec![refusal("database", &refused)],
        Err(error) => {
            return vec![Finding::refused(
                "database",
                format!("{error}"),
                "see that it runs and that the address is right",
            )];
        }
    };
    let mut findings = vec![
        server(approved, &examined),
        identity(approved, &examined),
        migrations(&examined),
        encryption(approved, &examined),
        connections(settings, &examined),
        sessions(&examined),
    ];
    findings.retain(|finding| !finding.detail.is_empty());
    findings
}

fn server(approved: &ApprovedDatabase, examined: &Examined) -> Finding {
    let detail = format!(
        "{}, PostgreSQL {}",
        approved.redacted(),
        examined.server_version
    );
    match examined.is_read_only {
        true => Finding::degraded(
            "database",
            format!("{detail}, and nothing can be written to it"),
            "wait for the end of its maintenance, or use the primary and not a follower",
        ),
        false => Finding::ok("database", detail),
    }
}

fn identity(approved: &ApprovedDatabase, examined: &Examined) -> Finding {
    match approved.admit_to(Access::Write, &examined.found) {
        Ok(admission) => match admission.warning {
            Some(warning) => Finding::degraded(
                "identity",
                format!(
                    "rule {}: {}; {}",
                    warning.rule, warning.evidence, warning.reason
                ),
                warning.remedy,
            ),
            None => Finding::ok("identity", format!("{}, as stamped", examined.found.here)),
        },
        Err(refused) => refusal("identity", &refused),
    }
}

fn migrations(examined: &Examined) -> Finding {
    let Some(migrations) = &examined.migrations else {
        return Finding::degraded(
            "migrations",
            "they cannot be compared: the role may not read what has run",
            "grant it SELECT on __diesel_schema_migrations and slipway_migrations",
        );
    };
    let list = |versions: &std::collections::BTreeSet<String>| {
        let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
        versions.join(", ")
    };
    if !migrations.drifted.is_empty() {
        return Finding::refused(
            "migrations",
            format!(
                "{} ran with another text than this binary has",
                list(&migrations.drifted)
            ),
            "put up.sql back as it was released and write the change as a new migration",
        );
    }
    if !migrations.pending.is_empty() {
        return Finding::degraded(
            "migrations",
            format!("pending: {}", list(&migrations.pending)),
            "run `slipway migrate` in the release phase",
        );
    }
    if !migrations.unknown.is_empty() {
        return Finding::ok(
            "migrations",
            format!(
                "all have run; a newer release has added {}",
                list(&migrations.unknown)
            ),
        );
    }
    Finding::ok("migrations", "all have run, and nothing else")
}

fn encryption(approved: &ApprovedDatabase, examined: &Examined) -> Finding {
    let least = approved.tls_at_least();
    match (&examined.encryption, approved.reach()) {
        (Some(encryption), _) => Finding::ok(
            "encryption",
            format!(
                "{} {}, at least {least}",
                encryption.version, encryption.cipher
            ),
        ),
        (None, Reach::Local) => Finding::ok("encryption", "none; nothing leaves this machine"),
        (None, _) => Finding::degraded(
            "encryption",
            "none, and the database is not on this machine",
            "let the server speak TLS, and set database.tls to require",
        ),
    }
}

fn connections(settings: &Settings, examined: &Examined) -> Finding {
    let budget = Budget::of(&settings.database, examined.limits);
    let detail = format!("{budget}; taken now: {}", examined.limits.taken);
    if budget.holds() {
        return Finding::ok("connections", detail);
    }
    let remedy = match budget.pool_max_that_fits() {
        Some(pool_max) => {
            format!("set SLIPWAY__DATABASE__POOL_MAX={pool_max}, or use a larger plan")
        }
        None => "start fewer processes (database.processes), or use a larger plan".to_owned(),
    };
    Finding::degraded("connections", detail, remedy)
}

fn sessions(examined: &Examined) -> Finding {
    match examined.is_pooled {
        true => Finding::refused(
            "pooler",
            "sessions are lent out (transaction mode), which loses locks and notifications",
            "use the direct address of the database, or session mode",
        ),
        false => Finding::ok("pooler", "none in transaction mode"),
    }
}

/// Whether files would outlive the process that took them in.
pub(super) fn storage(environ: &Environ, settings: &Settings) -> Finding {
    let platform = Sighting::of(environ).platform;
    let ephemeral = matches!(platform, Platform::Host(host, _) if host != Host::Own);
    match settings.uploads.store {
        StoreKind::Postgres if ephemeral => Finding::ok(
            "storage",
            "files are kept in the database, which outlives the disk of this platform",
        ),
        StoreKind::Postgres => Finding::ok("storage", "files are kept in the database"),
        // Undeclared, it is a fault of the configuration and told as one.
        StoreKind::Disk if ephemeral => Finding::ok(
            "storage",
            "files are kept on a disk that is declared to outlive the process (uploads.disk_durable)",
        ),
        StoreKind::Disk => Finding::ok("storage", "files are kept on the disk"),
        StoreKind::S3 => Finding::ok(
            "storage",
            "files are kept in a bucket, and in the database until a part is full",
        ),
    }
}
