//! Whether this process may dial that database at all, decided before any packet.
//!
//! It never grants anything because of a host name: a name can only add a
//! refusal. Rule numbers are stable; operators and logs refer to them.

use secrecy::SecretString;

use crate::{DatabaseAddress, Environ, Environment, Platform};

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

fn refuse_contradictions(environment: Environment, platform: Platform) -> Result<(), Refusal> {
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
    // Tests never look at DATABASE_URL: it may be exported and mean production.
    let name = match environment {
        Environment::Test => "TEST_DATABASE_URL",
        _ => "DATABASE_URL",
    };
    let text = environ.get(name).ok_or_else(|| Refusal {
        rule: "A2",
        evidence: format!("{name} is not set"),
        remedy: "set it to postgres://user@host/database; `cargo xtask dev` does so by itself",
    })?;
    DatabaseAddress::parse(text).map_err(|reason| Refusal {
        rule: "A2",
        evidence: format!("{name} cannot be used: {reason}"),
        remedy: "write it as postgres://user:password@host:port/database",
    })
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
}
