//! Whether this process may touch that database: before it is dialled, and again on
//! every connection, once the database has said what it is.
//!
//! It never grants anything because of a host's name. Rule numbers are stable;
//! operators and logs refer to them.

mod adoption;
mod after;
mod before;
mod dossier;
mod found;
mod ruling;
mod words;

use secrecy::SecretString;
use uuid::Uuid;

use crate::address::{Pinned, Reach, TlsMode, TlsPolicy, Unresolved};
use crate::platform::{Platform, Sighting};
use crate::{DatabaseAddress, DatabaseSettings, Environ, Environment};

use after::{Cell, Seen, Sight};
use before::{Rule, Scene, Settled, Target};
use dossier::{Dossier, declared, policy};
use found::Kinship;

pub use adoption::Adoption;
pub use found::{Found, Identity, STAMP_VERSION, Stamp, StampSeen, marker};
pub use ruling::{Access, Refusal, Ruling};

/// Leave to dial one database, read-only at first, for one purpose. Every connection
/// then asks [`ApprovedDatabase::admit`]; nothing else opens one.
#[derive(Debug, Clone)]
pub struct ApprovedDatabase {
    address: DatabaseAddress,
    environment: Environment,
    assumed: bool,
    platform: Platform,
    app_id: Option<Uuid>,
    reach: Reach,
    listed: bool,
    tls: TlsPolicy,
    access: Access,
    rule: Rule,
}

/// Leave to do with a database, on one connection, what was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admission {
    /// What must be said aloud, if anything.
    pub warning: Option<Ruling>,
    /// What a migration must do besides.
    pub duty: Duty,
}

/// What a migration must do besides migrating.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Duty {
    /// Nothing.
    None,
    /// Write the first stamp.
    Stamp,
    /// Bind the stamp to this database: it was moved on purpose, by its own app.
    Rebind,
}

/// Leave to destroy what one database holds. Made here alone, for a database that says
/// itself that it is worth nothing.
#[derive(Debug)]
pub struct Permit {
    name: String,
}

impl Permit {
    /// The only database it is for.
    pub fn database(&self) -> &str {
        &self.name
    }
}

/// Why a database cannot be dialled now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Its host has no address.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// Its host has moved to where this process must not go.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Decides whether this process may dial the database that its variables name.
///
/// # Errors
/// The first rule that refuses, with its evidence, reason and remedy.
pub fn approve(
    environ: &Environ,
    settings: &DatabaseSettings,
    access: Access,
) -> Result<ApprovedDatabase, Refusal> {
    let dossier = Dossier::gather(environ, settings, access);
    let rule = dossier.scene.rule();
    let settled = before::settle(dossier.scene.declared, dossier.scene.platform);
    match (rule.dials(), settled, dossier.named.address) {
        (true, Ok(settled), Ok(address)) => Ok(ApprovedDatabase {
            tls: policy(settings, settled.environment, dossier.scene.reach),
            address,
            environment: settled.environment,
            assumed: settled.assumed,
            platform: dossier.scene.platform,
            app_id: app_id(environ),
            reach: dossier.scene.reach,
            listed: dossier.scene.listed,
            access,
            rule,
        }),
        (_, _, address) => Err(Refusal::for_good(words::refusing(&words::Refusing {
            rule,
            scene: &dossier.scene,
            sighting: &dossier.sighting,
            address: &address,
            steering: &dossier.steering,
            declaration: Environment::declared(environ).err(),
            unset_name: dossier.named.unset,
            siblings: dossier::siblings(environ),
        }))),
    }
}

/// The environment that this process runs in: as declared, or, on a dyno where nothing
/// is, the strictest that it could be (rule A6).
///
/// # Errors
/// Rules A1 and A5.
pub fn environment(environ: &Environ) -> Result<Environment, Refusal> {
    let sighting = Sighting::of(environ);
    settled(environ, &sighting).map(|settled| settled.environment)
}

fn settled(environ: &Environ, sighting: &Sighting) -> Result<Settled, Refusal> {
    let declaration = Environment::declared(environ);
    before::settle(declared(&declaration), sighting.platform)
        .map_err(|rule| Refusal::for_good(words::undeclared(rule, declaration.err())))
}

/// What stage A says of the declaration and the platform alone, as if the database were
/// the most harmless one.
pub(crate) fn without_database(environ: &Environ, sighting: &Sighting) -> Ruling {
    let declaration = Environment::declared(environ);
    let scene = Scene {
        declared: declared(&declaration),
        platform: sighting.platform,
        ci: sighting.ci,
        target: Target::One,
        reach: Reach::Local,
        listed: false,
        pasted: false,
        for_tests: true,
        downgraded: false,
        access: Access::Write,
    };
    let rule = scene.rule();
    match rule.dials() {
        true => words::dialling(rule, sighting.platform),
        false => words::refusing(&words::Refusing {
            rule,
            scene: &scene,
            sighting,
            address: &Err(None),
            steering: &[],
            declaration: declaration.err(),
            unset_name: None,
            siblings: Vec::new(),
        }),
    }
}

/// `SLIPWAY_APP_ID`, if it is usable; the settings refuse one that is not.
fn app_id(environ: &Environ) -> Option<Uuid> {
    environ.get("SLIPWAY_APP_ID")?.parse().ok()
}

impl ApprovedDatabase {
    /// The string for libpq, with its password, for the addresses that the host has
    /// now. They are judged again, and the connection goes to no others.
    ///
    /// # Errors
    /// The host has no address, or one that is farther away than the approved one.
    pub fn dial(&self) -> Result<SecretString, DialError> {
        let pinned: Vec<Pinned> = self.address.resolve()?;
        let reach = self.address.reach(&Ok(pinned.clone()));
        let on_platform = self.platform.is_proven() && self.environment.is_deployed();
        if !on_platform && !self.listed && reach > self.reach {
            return Err(Refusal::for_good(words::moved(self)).into());
        }
        Ok(self.address.connection_string(&pinned, &self.tls))
    }

    /// The database as people and logs may see it.
    pub fn redacted(&self) -> String {
        self.address.redacted()
    }

    /// The address that was approved.
    pub fn address(&self) -> &DatabaseAddress {
        &self.address
    }

    /// The environment it was approved for.
    pub fn environment(&self) -> Environment {
        self.environment
    }

    /// Whether the environment was assumed, because nothing is declared on a dyno.
    pub fn is_assumed(&self) -> bool {
        self.assumed
    }

    /// The app that this process belongs to, if it has an id.
    pub fn app_id(&self) -> Option<Uuid> {
        self.app_id
    }

    /// Where this process runs.
    pub fn platform(&self) -> Platform {
        self.platform
    }

    /// The rule by which it may be dialled.
    pub fn ruling(&self) -> Ruling {
        words::dialling(self.rule, self.platform)
    }

    /// The least protection of its connections, in libpq's words.
    pub fn tls_at_least(&self) -> TlsMode {
        self.tls.least
    }

    /// Whether it is on this machine, a private network, or farther.
    pub fn reach(&self) -> Reach {
        self.reach
    }

    /// Decides what a connection may be used for, now that the database has said what
    /// it is.
    ///
    /// # Errors
    /// The row of the table that refuses.
    pub fn admit(&self, found: &Found) -> Result<Admission, Refusal> {
        self.admit_to(self.access, found)
    }

    /// The same for another purpose, for whoever only wants to know.
    ///
    /// # Errors
    /// The row of the table that refuses.
    pub fn admit_to(&self, access: Access, found: &Found) -> Result<Admission, Refusal> {
        let (row, cell) = self.sight(access, found).decide();
        let ruling = || words::deciding(row, cell, self, found, access);
        match cell {
            Cell::Allow => Ok(Admission {
                warning: None,
                duty: Duty::None,
            }),
            Cell::Warn => Ok(Admission {
                warning: Some(ruling()),
                duty: Duty::None,
            }),
            Cell::Stamp => Ok(Admission {
                warning: None,
                duty: Duty::Stamp,
            }),
            Cell::Rebind => Ok(Admission {
                warning: Some(ruling()),
                duty: Duty::Rebind,
            }),
            Cell::Unready | Cell::Confirm | Cell::Refuse => Err(Refusal {
                ruling: Box::new(ruling()),
                passing: cell == Cell::Unready,
            }),
        }
    }

    /// Leave to destroy the database that said this of itself.
    ///
    /// # Errors
    /// It is not one that is worth nothing.
    pub fn permit(&self, found: &Found) -> Result<Permit, Refusal> {
        self.admit_to(Access::Destroy, found).map(|_| Permit {
            name: found.here.name.clone(),
        })
    }

    /// Whether a server answers from where it was dialled, without a tunnel.
    pub(crate) fn is_direct(&self, found: &Found) -> bool {
        self.reach == Reach::Local && found.answers_here()
    }

    fn sight(&self, access: Access, found: &Found) -> Sight {
        let (seen, kinship) = match &found.stamp {
            StampSeen::Empty => (Seen::Empty, Kinship::Unknown),
            StampSeen::Unstamped => (Seen::Unstamped, Kinship::Unknown),
            StampSeen::Unreadable(_) => (Seen::Unreadable, Kinship::Unknown),
            StampSeen::Is(stamp) if self.is_foreign(stamp) => {
                (Seen::Foreign, stamp.kinship(&found.here))
            }
            StampSeen::Is(stamp) => (Seen::Is(stamp.environment), stamp.kinship(&found.here)),
        };
        Sight {
            environment: self.environment,
            task: match self.platform {
                Platform::Host(_, task) => Some(task),
                _ => None,
            },
            seen,
            kinship,
            marker_agrees: found.marker_agrees(),
            direct: self.is_direct(found),
            access,
        }
    }

    /// Whether a stamp names another app. A laptop need not have an id to be told what
    /// it may not touch; a deployed process without one is nobody's.
    fn is_foreign(&self, stamp: &Stamp) -> bool {
        match (stamp.app_id, self.app_id) {
            (Some(theirs), Some(ours)) => theirs != ours && !stamp.shared_with.contains(&ours),
            (Some(_), None) => self.environment.is_deployed(),
            (None, _) => false,
        }
    }
}

#[cfg(test)]
mod product;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;
