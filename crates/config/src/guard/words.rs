//! What is said about a decision: the evidence, the reason, what helps.
//!
//! Sentences only. No part of an address is repeated but what is safe to show, and no
//! value of a variable.

use time::OffsetDateTime;

use crate::platform::{Platform, Sighting, Task};
use crate::{Access, DatabaseAddress, Environment, InvalidAddress};

use super::after::{Cell, Row};
use super::before::{Rule, Scene};
use super::found::{Found, StampSeen};
use super::{Adoption, ApprovedDatabase, Ruling};

/// Why the variables name no address that can be used.
#[derive(Debug)]
pub(super) enum Unusable {
    /// A URL cannot be read.
    Url {
        name: &'static str,
        reason: InvalidAddress,
    },
    /// The components cannot be used.
    Components(InvalidAddress),
    /// URL and these components differ.
    Contradicted(String),
}

/// All that a refusal of stage A can be about.
pub(super) struct Refusing<'a> {
    pub(super) rule: Rule,
    pub(super) scene: &'a Scene,
    pub(super) sighting: &'a Sighting,
    pub(super) address: &'a Result<DatabaseAddress, Option<Unusable>>,
    pub(super) steering: &'a [String],
    pub(super) declaration: Option<String>,
    pub(super) unset_name: Option<&'static str>,
    pub(super) siblings: Vec<String>,
}

fn ruling(
    rule: &'static str,
    evidence: impl Into<String>,
    reason: &'static str,
    remedy: impl Into<String>,
) -> Ruling {
    Ruling {
        rule,
        evidence: evidence.into(),
        reason,
        remedy: remedy.into(),
    }
}

/// Rules A1 and A5.
pub(super) fn undeclared(rule: Rule, declaration: Option<String>) -> Ruling {
    match rule {
        Rule::A5 => ruling(
            rule.id(),
            "this is a release, and SLIPWAY_ENV is not set",
            "a release must know what it releases to",
            "set SLIPWAY_ENV to production, staging or preview on the app",
        ),
        _ => ruling(
            rule.id(),
            declaration.unwrap_or_else(Environment::undeclared),
            "a process that does not know where it is could be anywhere",
            "set SLIPWAY_ENV to where this process runs",
        ),
    }
}

/// A refusal of stage A.
pub(super) fn refusing(about: &Refusing<'_>) -> Ruling {
    let rule = about.rule.id();
    let shown = match about.address {
        Ok(address) => address.redacted(),
        Err(_) => "the database".to_owned(),
    };
    match about.rule {
        Rule::A1 | Rule::A5 => undeclared(about.rule, about.declaration.clone()),
        Rule::A2 => unusable(about),
        Rule::A3 => ruling(
            rule,
            format!("the address names several servers ({shown})"),
            "one of them may be production",
            "name one server, or, on a platform, list every host in database.remote_hosts",
        ),
        Rule::A4 => ruling(
            rule,
            "the address says a part in front of the question mark and again behind it",
            "libpq obeys what is behind it, and people read what is in front",
            "say each part once",
        ),
        Rule::A12 => for_tests(about),
        Rule::T1 => ruling(
            rule,
            "the address asks for less protection of the connection than is configured",
            "a connection that is not encrypted shows everything to whoever is in between",
            "take sslmode and sslrootcert out of the address; database.tls says what is the least",
        ),
        // The others are about where this process is, and how far the database.
        _ => misplaced(about, &shown),
    }
}

fn misplaced(about: &Refusing<'_>, shown: &str) -> Ruling {
    let rule = about.rule.id();
    let platform = about.sighting.platform;
    let environment = match about.scene.declared {
        super::before::Declared::Is(environment) => environment.as_str(),
        _ => "nothing",
    };
    match about.rule {
        Rule::A7 => ruling(
            rule,
            format!("this is {platform}, and SLIPWAY_ENV says {environment}"),
            "the conveniences of development do not belong on the internet",
            "set SLIPWAY_ENV to production, staging or preview there",
        ),
        Rule::A8 => ruling(
            rule,
            format!("the platform is {platform}"),
            "whoever pastes an environment has pasted its database too",
            "start without the copied variables",
        ),
        Rule::A9 => ruling(
            rule,
            format!("SLIPWAY_ENV says {environment}, and no platform is in sight"),
            "laptops are not production",
            "run it on the platform (`heroku run`), or use SLIPWAY_ENV=development; \
             a server of your own is marked by the file /etc/slipway/host",
        ),
        Rule::A10 => ruling(
            rule,
            format!("{shown} is a platform's or a provider's database"),
            "its address was probably copied from a running app",
            "use a local database (`cargo xtask dev` brings one up); a branch for development goes \
             into database.remote_hosts in config/development.toml",
        ),
        Rule::A11 => ruling(
            rule,
            format!("{shown} is not on this machine"),
            "a database elsewhere is somebody's data unless the repository says otherwise",
            "use a local database (`cargo xtask dev` brings one up), or list its host in \
             database.remote_hosts in config/development.toml",
        ),
        _ => ruling(
            Rule::A13.id(),
            match (about.scene.ci, platform) {
                (_, Platform::Several(..)) => format!("this is {platform}"),
                _ => format!("CI is set, and SLIPWAY_ENV says {environment}"),
            },
            "evidence that contradicts itself proves nothing",
            "unset what does not belong here",
        ),
    }
}

fn unusable(about: &Refusing<'_>) -> Ruling {
    let rule = Rule::A2.id();
    let reason = "libpq could connect elsewhere than the address reads";
    if !about.steering.is_empty() {
        let evidence = format!("libpq would also obey {}", about.steering.join(", "));
        let remedy = "unset it, and say all of it in the address";
        return ruling(rule, evidence, reason, remedy);
    }
    match about.address {
        Err(Some(Unusable::Url { name, reason: why })) => ruling(
            rule,
            format!("{name} cannot be used: {why}"),
            reason,
            "write it as postgres://user:password@host:port/database",
        ),
        Err(Some(Unusable::Components(why))) => ruling(
            rule,
            format!("the components of the database's address cannot be used: {why}"),
            reason,
            "set DATABASE_HOST, DATABASE_NAME and DATABASE_USER, or DATABASE_URL alone",
        ),
        Err(Some(Unusable::Contradicted(names))) => ruling(
            rule,
            format!("DATABASE_URL and {names} name different databases or accounts"),
            "only one of them can be meant",
            "unset DATABASE_URL, or the DATABASE_* components",
        ),
        Err(None) | Ok(_) => unset(about),
    }
}

fn unset(about: &Refusing<'_>) -> Ruling {
    let name = about.unset_name.unwrap_or("DATABASE_URL");
    let reason = "there is no database to take for granted";
    match about.siblings.as_slice() {
        [] => ruling(
            Rule::A2.id(),
            format!("{name} is not set"),
            reason,
            "set it to postgres://user@host/database; `cargo xtask dev` does so by itself",
        ),
        siblings => ruling(
            Rule::A2.id(),
            format!("{name} is not set, though {} is", siblings.join(", ")),
            "while a database is promoted, none is the promoted one",
            "wait for the release that follows the promotion, or promote one of them: \
             `heroku pg:promote`",
        ),
    }
}

fn for_tests(about: &Refusing<'_>) -> Ruling {
    let evidence = match about.address {
        Ok(address) => format!("the test database is called {:?}", address.database()),
        Err(_) => "TEST_DATABASE_URL is not set, and tests look at no other".to_owned(),
    };
    ruling(
        Rule::A12.id(),
        evidence,
        "tests destroy what they find",
        "use a database whose name ends in _test; `cargo xtask test` makes one",
    )
}

/// Leave of stage A.
pub(super) fn dialling(rule: Rule, platform: Platform) -> Ruling {
    match rule {
        Rule::A14 => ruling(
            rule.id(),
            format!("this is {platform}, and the database is dialled on this machine"),
            "platforms put a proxy there; the stamp decides",
            "",
        ),
        _ => ruling(
            Rule::A15.id(),
            "nothing speaks against dialling it",
            "the stamp in it decides what may be done",
            "",
        ),
    }
}

/// A host whose addresses are farther away than when it was approved.
pub(super) fn moved(database: &ApprovedDatabase) -> Ruling {
    ruling(
        Rule::A11.id(),
        format!("{} has moved away from this machine", database.redacted()),
        "a database elsewhere is somebody's data unless the repository says otherwise",
        "restart, so that all of it is judged again",
    )
}

/// What stage B has decided, and for whom.
pub(super) fn deciding(
    row: Row,
    cell: Cell,
    database: &ApprovedDatabase,
    found: &Found,
    access: Access,
) -> Ruling {
    Ruling {
        rule: row.id(),
        evidence: evidence(database, found, access),
        reason: reason(row, cell),
        remedy: remedy(row, cell, database, found, access),
    }
}

fn evidence(database: &ApprovedDatabase, found: &Found, access: Access) -> String {
    let what = match &found.stamp {
        StampSeen::Empty => format!("{} is empty", found.here.name),
        StampSeen::Unstamped => format!("{} has tables and no stamp of Slipway", found.here.name),
        StampSeen::Unreadable(why) => {
            format!("the stamp of {} is unreadable: {why}", found.here.name)
        }
        StampSeen::Is(stamp) => {
            let app = match stamp.app_id {
                Some(id) if Some(id) != database.app_id() => format!(" of app {id}"),
                _ => String::new(),
            };
            let copy = match stamp.kinship(&found.here) {
                super::Kinship::Same => "",
                super::Kinship::Differs => ", or rather a copy of it",
                super::Kinship::Unknown => ", as far as can be told",
            };
            let marker = match found.marker_agrees() {
                true => "",
                false => ", though the comment on it does not say so",
            };
            format!(
                "{} is {}{app}{copy}{marker}",
                found.here.name, stamp.environment
            )
        }
    };
    let tunnel = match (database.reach(), found.server) {
        (crate::Reach::Local, Some(server)) if !found.answers_here() => {
            format!(" (behind a tunnel: it was dialled on this machine and answers as {server})")
        }
        _ => String::new(),
    };
    format!(
        "{what}{tunnel}; this process is {} and wants to {access} it",
        database.environment()
    )
}

fn reason(row: Row, cell: Cell) -> &'static str {
    match (row, cell) {
        (Row::B1, Cell::Unready) => "its release has not run yet",
        (Row::B1, _) => "only a release makes the first schema",
        (Row::B2, _) => "what is in it belongs to somebody",
        (Row::B13, _) => "what cannot be read could be anything",
        (Row::B12, _) => "two apps on one database destroy each other's work",
        (Row::B10, Cell::Warn | Cell::Rebind) => "it was moved, copied or upgraded",
        (Row::B10, _) => "a copy of it holds the same people's data and still is not it",
        (Row::B11, _) => "its identity cannot be compared, so this could be a copy",
        (Row::B9, Cell::Warn) => "production is migrated by its release",
        (Row::B9, _) => "production is touched by production alone, and destroyed by nobody",
        (_, Cell::Warn) => "it was made for another database, or copied from it",
        (_, Cell::Confirm) => "what is destroyed does not come back",
        _ => "each environment has a database of its own",
    }
}

fn remedy(
    row: Row,
    cell: Cell,
    database: &ApprovedDatabase,
    found: &Found,
    access: Access,
) -> String {
    if cell.allows() {
        return match row {
            Row::B10 => "the next release binds the stamp to it".to_owned(),
            Row::B4 | Row::B6 => format!(
                "if it is yours: `slipway db adopt --as {}`",
                database.environment()
            ),
            _ => String::new(),
        };
    }
    let adoptable = access != Access::Restamp && database.admit_to(Access::Restamp, found).is_ok();
    match row {
        Row::B1 if database.environment().is_deployed() => {
            "wait for the release phase, or run `slipway migrate` in it".to_owned()
        }
        Row::B1 => "run `slipway migrate` first".to_owned(),
        Row::B9 if matches!(database.platform(), Platform::Host(_, Task::Serve)) => {
            "put `slipway migrate` into the release phase".to_owned()
        }
        Row::B13 => {
            "grant the role SELECT on slipway_stamp, or use the release that wrote it".to_owned()
        }
        _ if adoptable => {
            let environment = database.environment();
            let adoption = Adoption::at(OffsetDateTime::now_utc(), found, environment);
            format!(
                "if it is yours, or a copy that you made: `slipway db adopt --as {environment}`, and type {}",
                adoption.phrase
            )
        }
        Row::B12 => "use the database of this app, or correct SLIPWAY_APP_ID".to_owned(),
        _ => "use another database".to_owned(),
    }
}
