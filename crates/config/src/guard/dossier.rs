//! The facts that stage A asks for, gathered from variables, settings and the machine.
//!
//! It decides nothing: what the facts mean is in `before.rs`.

use crate::address::{Components, Reach, TlsMode, TlsPolicy, is_managed, steering};
use crate::platform::Sighting;
use crate::{Access, DatabaseAddress, DatabaseSettings, Environ, Environment};

use super::before::{Declared, Scene, Target, settle};
use super::words;

/// What happens to be known before the rules are asked.
pub(super) struct Dossier {
    pub(super) scene: Scene,
    pub(super) sighting: Sighting,
    pub(super) named: Named,
    /// Variables that steer libpq.
    pub(super) steering: Vec<String>,
}

pub(super) fn declared(declaration: &Result<Option<Environment>, String>) -> Declared {
    match declaration {
        Ok(Some(environment)) => Declared::Is(*environment),
        Ok(None) => Declared::Nothing,
        Err(_) => Declared::Nonsense,
    }
}

/// What must at least protect a connection. Nothing on this machine needs it.
pub(super) fn policy(
    settings: &DatabaseSettings,
    environment: Environment,
    reach: Reach,
) -> TlsPolicy {
    let least = match (reach, environment.is_deployed()) {
        (Reach::Local, _) => TlsMode::Prefer,
        (_, true) => settings.tls.max(TlsMode::Require),
        (_, false) => settings.tls,
    };
    TlsPolicy {
        least,
        authority: settings
            .tls_authority
            .clone()
            .filter(|_| reach != Reach::Local),
    }
}

/// The address that the variables name, and what to say if they name none.
pub(super) struct Named {
    /// `Err(None)`: nothing is set.
    pub(super) address: Result<DatabaseAddress, Option<words::Unusable>>,
    pub(super) unset: Option<&'static str>,
}

impl Named {
    fn by(environ: &Environ, environment: Option<Environment>) -> Self {
        // Tests never look at DATABASE_URL nor at its components: they may be
        // exported and mean production.
        if environment == Some(Environment::Test) {
            return Self::one(environ, "TEST_DATABASE_URL");
        }
        let url = Self::one(environ, "DATABASE_URL");
        let components = match Components::read(environ) {
            Ok(None) => return url,
            Ok(Some(components)) => components,
            Err(reason) => return Self::unusable(words::Unusable::Components(reason)),
        };
        match url.address {
            Ok(url) => match components.contradicting(&url).as_slice() {
                // The URL, because it may also ask for more of TLS.
                [] => Self {
                    address: Ok(url),
                    unset: None,
                },
                names => Self::unusable(words::Unusable::Contradicted(names.join(", "))),
            },
            Err(None) => match components.into_address() {
                Ok(address) => Self {
                    address: Ok(address),
                    unset: None,
                },
                Err(reason) => Self::unusable(words::Unusable::Components(reason)),
            },
            Err(unusable) => Self {
                address: Err(unusable),
                unset: None,
            },
        }
    }

    fn one(environ: &Environ, name: &'static str) -> Self {
        let address = match environ.get(name).map(DatabaseAddress::parse) {
            None => Err(None),
            Some(Ok(address)) => Ok(address),
            Some(Err(reason)) => Err(Some(words::Unusable::Url { name, reason })),
        };
        Self {
            unset: matches!(address, Err(None)).then_some(name),
            address,
        }
    }

    fn unusable(why: words::Unusable) -> Self {
        Self {
            address: Err(Some(why)),
            unset: None,
        }
    }
}

impl Dossier {
    pub(super) fn gather(environ: &Environ, settings: &DatabaseSettings, access: Access) -> Self {
        let sighting = Sighting::of(environ);
        let declared = declared(&Environment::declared(environ));
        let environment = settle(declared, sighting.platform)
            .ok()
            .map(|settled| settled.environment);
        let named = Named::by(environ, environment);
        let mut steering = steering(environ);
        let address = named.address.as_ref().ok();
        if address.is_some_and(|address| !address.says_port()) && environ.get("PGPORT").is_some() {
            steering.push("PGPORT".to_owned());
        }
        let pinned = address.map(DatabaseAddress::resolve);
        let reach = match (address, &pinned) {
            (Some(address), Some(pinned)) => address.reach(pinned),
            // What is not there is not far away; another rule says that it is missing.
            _ => Reach::Local,
        };
        let listed = address.is_some_and(|address| {
            let listed = |host: &str| settings.remote_hosts.iter().any(|known| known == host);
            address.hosts().all(listed)
        });
        let scene = Scene {
            declared,
            platform: sighting.platform,
            ci: sighting.ci,
            target: target(&named, &steering, environment, listed),
            reach,
            listed,
            pasted: address.is_some_and(|address| pasted(environ, address, reach, listed)),
            for_tests: environment != Some(Environment::Test)
                || address.is_some_and(|address| address.database().ends_with("_test")),
            downgraded: address
                .zip(environment)
                .is_some_and(|(address, environment)| {
                    downgraded(address, &policy(settings, environment, reach), reach)
                }),
            access,
        };
        Self {
            scene,
            sighting,
            named,
            steering,
        }
    }
}

fn target(
    named: &Named,
    steering: &[String],
    environment: Option<Environment>,
    listed: bool,
) -> Target {
    match &named.address {
        _ if !steering.is_empty() => Target::Unusable,
        Ok(address) if address.servers() > 1 => Target::Several { listed },
        Ok(_) => Target::One,
        Err(Some(words::Unusable::Url { reason, .. })) if reason.overridden => Target::Overridden,
        // Which variable tests read is rule A12's to say.
        Err(None) if environment == Some(Environment::Test) => Target::One,
        Err(_) => Target::Unusable,
    }
}

/// Whether the address was probably copied from a platform's variables: rule A10.
fn pasted(environ: &Environ, address: &DatabaseAddress, reach: Reach, listed: bool) -> bool {
    let managed = !listed && address.hosts().any(is_managed);
    let same = |(_, value): (&str, &str)| {
        DatabaseAddress::parse(value).is_ok_and(|other| other.is_same_database(address))
    };
    let attached = environ
        .beginning_with("HEROKU_POSTGRESQL_")
        .filter(|(name, _)| name.ends_with("_URL"))
        .any(same);
    // People have several names for a database of their own machine.
    let sibling = reach != Reach::Local
        && environ
            .beginning_with("")
            .filter(|(name, _)| name.ends_with("_URL"))
            .filter(|(name, _)| !matches!(*name, "DATABASE_URL" | "TEST_DATABASE_URL"))
            .any(same);
    managed || attached || sibling && !listed
}

fn downgraded(address: &DatabaseAddress, least: &TlsPolicy, reach: Reach) -> bool {
    let weaker = address.tls().is_some_and(|asked| asked < least.least);
    let other = match (address.authority(), &least.authority) {
        (Some(asked), Some(pinned)) => asked != pinned,
        _ => false,
    };
    reach != Reach::Local && (weaker || other)
}

/// Attachments of databases that a process has besides `DATABASE_URL`, by name.
pub(super) fn siblings(environ: &Environ) -> Vec<String> {
    environ
        .beginning_with("HEROKU_POSTGRESQL_")
        .filter(|(name, _)| name.ends_with("_URL"))
        .map(|(name, _)| name.to_owned())
        .collect()
}
