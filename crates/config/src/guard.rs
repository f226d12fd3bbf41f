//! Whether this process may dial that database at all, decided before any packet.
//!
//! It never grants anything because of a host name: a name can only add a
//! refusal. Rule numbers are stable; operators and logs refer to them.

use secrecy::SecretString;

use crate::address::Components;
use crate::{DatabaseAddress, Environ, Environment, InvalidAddress, Platform};

/// Leave to dial one database; the only thing that opens a pool.
#[derive(Debug, Clone)]
pub struct ApprovedDatabase {
    address: DatabaseAddress,
    environment: Environment,
}

impl ApprovedDatabase {
    /// The string for libpq, with its password.
    pub fn connection_string(&self) -> SecretString {
        self.address
            .connection_string(self.environment.is_deployed())
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
}

/// A refusal: which rule, on what evidence, and what helps.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused by rule {rule}: {evidence}; {remedy}")]
pub struct Refusal {
    /// The rule's number.
    pub rule: &'static str,
    /// What was seen.
    pub evidence: String,
    /// What to do.
    pub remedy: &'static str,
}

/// Decides whether a process in `environment` may dial the database that its
/// variables name.
///
/// # Errors
/// The first rule that refuses, with its evidence and remedy.
pub fn approve(environment: Environment, environ: &Environ) -> Result<ApprovedDatabase, Refusal> {
    let platform = Platform::shown_by(environ);
    for name in ["PGSERVICE", "PGSERVICEFILE", "PGHOSTADDR", "PGOPTIONS"] {
        if environ.get(name).is_some() {
            return Err(Refusal {
                rule: "A2",
                evidence: format!("{name} is set, which libpq obeys behind the address"),
                remedy: "unset it",
            });
        }
    }
    refuse_contradictions(environment, platform)?;
    let address = named_address(environment, environ)?;
    if environment == Environment::Test && !address.database().ends_with("_test") {
        return Err(Refusal {
            rule: "A12",
            evidence: format!("the test database is called {:?}", address.database()),
            remedy: "use a database whose name ends in _test; `cargo xtask test` makes one",
        });
    }
    if platform != Platform::Dyno && !address.is_local() {
        return Err(Refusal {
            rule: "A11",
            evidence: format!("{} is not on this machine", address.redacted()),
            remedy: "use a local database; `cargo xtask dev` brings one up",
        });
    }
    Ok(ApprovedDatabase {
        address,
        environment,
    })
}

/// What the declaration and the platform say of each other, the database apart.
///
/// # Errors
/// The rule by which they do not go together.
pub(crate) fn refuse_contradictions(
    environment: Environment,
    platform: Platform,
) -> Result<(), Refusal> {
    match platform {
        Platform::Dyno if !environment.is_deployed() => Err(Refusal {
            rule: "A7",
            evidence: format!("this is a dyno and SLIPWAY_ENV says {environment}"),
            remedy: "set SLIPWAY_ENV to production, staging or preview on the app",
        }),
        Platform::CopiedDyno => Err(Refusal {
            rule: "A8",
            evidence: "DYNO is set but this is no dyno, so these variables were copied from one"
                .to_owned(),
            remedy: "start without the copied variables",
        }),
        Platform::None if environment.is_deployed() => Err(Refusal {
            rule: "A9",
            evidence: format!("SLIPWAY_ENV says {environment} and no platform is in sight"),
            remedy: "run it on the platform, or use SLIPWAY_ENV=development",
        }),
        Platform::Dyno | Platform::None => Ok(()),
    }
}

fn named_address(environment: Environment, environ: &Environ) -> Result<DatabaseAddress, Refusal> {
    // Tests never look at DATABASE_URL nor at its components: they may be
    // exported and mean production.
    if environment == Environment::Test {
        return address_in("TEST_DATABASE_URL", environ)?.ok_or_else(|| unset("TEST_DATABASE_URL"));
    }
    let url = address_in("DATABASE_URL", environ)?;
    let components = Components::read(environ).map_err(|reason| unusable_components(&reason))?;
    match (url, components) {
        (None, None) => Err(unset("DATABASE_URL")),
        (Some(url), None) => Ok(url),
        (None, Some(components)) => components
            .into_address()
            .map_err(|reason| unusable_components(&reason)),
        (Some(url), Some(components)) => {
            let contradicting = components.contradicting(&url);
            if contradicting.is_empty() {
                // The URL, because it may also ask for more of TLS.
                return Ok(url);
            }
            Err(Refusal {
                rule: "A2",
                evidence: format!(
                    "DATABASE_URL and {} name different databases or accounts",
                    contradicting.join(", ")
                ),
                remedy: "unset DATABASE_URL, or the DATABASE_* components",
            })
        }
    }
}

fn address_in(name: &'static str, environ: &Environ) -> Result<Option<DatabaseAddress>, Refusal> {
    let Some(text) = environ.get(name) else {
        return Ok(None);
    };
    match DatabaseAddress::parse(text) {
        Ok(address) => Ok(Some(address)),
        Err(reason) => Err(Refusal {
            rule: "A2",
            evidence: format!("{name} cannot be used: {reason}"),
            remedy: "write it as postgres://user:password@host:port/database",
        }),
    }
}

fn unset(name: &'static str) -> Refusal {
    Refusal {
        rule: "A2",
        evidence: format!("{name} is not set"),
        remedy: "set it to postgres://user@host/database; `cargo xtask dev` does so by itself",
    }
}

fn unusable_components(reason: &InvalidAddress) -> Refusal {
    Refusal {
        rule: "A2",
        evidence: format!("the components of the database's address cannot be used: {reason}"),
        remedy: "set DATABASE_HOST, DATABASE_NAME and DATABASE_USER, or DATABASE_URL alone",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCAL: &str = "postgres://u@%2Ftmp/slipway_dev";
    const REMOTE: &str = "postgres://u:p@db.example.com/d";

    fn rule(environment: Environment, environ: Environ) -> &'static str {
        match approve(environment, &environ) {
            Ok(_) => "approved",
            Err(refusal) => refusal.rule,
        }
    }

    #[test]
    fn a_laptop_reaches_its_own_database_and_no_other() {
        let environment = Environment::Development;

        assert_eq!(
            rule(environment, [("DATABASE_URL", LOCAL)].into()),
            "approved"
        );
        assert_eq!(rule(environment, [("DATABASE_URL", REMOTE)].into()), "A11");
        assert_eq!(rule(environment, [].into()), "A2");
    }

    #[test]
    fn a_laptop_is_never_production() {
        for environment in [
            Environment::Production,
            Environment::Staging,
            Environment::Preview,
        ] {
            assert_eq!(rule(environment, [("DATABASE_URL", LOCAL)].into()), "A9");
        }
    }

    #[test]
    fn variables_pasted_from_a_dyno_are_recognised() {
        let pasted = [
            ("DATABASE_URL", REMOTE),
            ("DYNO", "web.1"),
            ("HOME", "/home/dev"),
        ];

        assert_eq!(rule(Environment::Production, pasted.into()), "A8");
    }

    #[test]
    fn a_dyno_reaches_its_database_under_a_deployed_environment_only() {
        let dyno = [
            ("DATABASE_URL", REMOTE),
            ("DYNO", "web.1"),
            ("HOME", "/app"),
        ];

        assert_eq!(rule(Environment::Production, dyno.into()), "approved");
        assert_eq!(rule(Environment::Development, dyno.into()), "A7");
    }

    #[test]
    fn tests_ignore_database_url_and_insist_on_a_test_database() {
        let exported = [("DATABASE_URL", "postgres://u@%2Ftmp/x_test")];
        assert_eq!(rule(Environment::Test, exported.into()), "A2");

        let wrong = [("TEST_DATABASE_URL", LOCAL)];
        assert_eq!(rule(Environment::Test, wrong.into()), "A12");

        let right = [("TEST_DATABASE_URL", "postgres://u@%2Ftmp/x_test")];
        assert_eq!(rule(Environment::Test, right.into()), "approved");
    }

    #[test]
    fn variables_that_steer_libpq_are_refused() {
        let steered = [("DATABASE_URL", LOCAL), ("PGHOSTADDR", "192.0.2.1")];

        assert_eq!(rule(Environment::Development, steered.into()), "A2");
    }

    #[test]
    fn components_are_as_good_as_the_url_and_held_to_the_same_rules() {
        let environment = Environment::Development;
        let here = [
            ("DATABASE_HOST", "/tmp"),
            ("DATABASE_NAME", "slipway_dev"),
            ("DATABASE_USER", "u"),
        ];
        assert_eq!(rule(environment, here.into()), "approved");

        let there = [("DATABASE_HOST", "db.example.com"), here[1], here[2]];
        assert_eq!(rule(environment, there.into()), "A11");
        assert_eq!(rule(environment, [here[0], here[1]].into()), "A2");

        let agreeing = [here[0], here[1], here[2], ("DATABASE_URL", LOCAL)];
        assert_eq!(rule(environment, agreeing.into()), "approved");
    }

    #[test]
    fn a_url_and_components_that_differ_are_refused_by_name_and_without_values() {
        let environ = [
            ("DATABASE_URL", "postgres://canary:canary@localhost/d"),
            ("DATABASE_HOST", "canary.example.com"),
            ("DATABASE_PORT", "5432"),
            ("DATABASE_PASSWORD", "canary-7f3a"),
        ];

        let refusal = approve(Environment::Development, &environ.into()).unwrap_err();

        assert_eq!(refusal.rule, "A2");
        let shown = format!("{refusal} {refusal:?}");
        assert!(
            shown.contains("DATABASE_HOST, DATABASE_PASSWORD name"),
            "{shown}"
        );
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn tests_ignore_the_components() {
        let components = [
            ("DATABASE_HOST", "localhost"),
            ("DATABASE_PORT", "not a port"),
            ("DATABASE_NAME", "x_test"),
            ("DATABASE_USER", "u"),
        ];
        assert_eq!(rule(Environment::Test, components.into()), "A2");

        let named = [
            components[0],
            components[1],
            ("TEST_DATABASE_URL", "postgres://u@%2Ftmp/x_test"),
        ];
        assert_eq!(rule(Environment::Test, named.into()), "approved");
    }
}
