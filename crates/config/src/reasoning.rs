//! Why a process believes to be where it is: the declaration, its alias, what the
//! platform shows, and what follows.
//!
//! It decides nothing; it tells what `platform.rs` and `guard/` decide. Of the
//! evidence it shows what was looked for, never what else a variable holds.

use std::fmt;

use crate::guard::{Ruling, environment, without_database};
use crate::{Environ, Environment, Evidence, Platform, Sighting};

/// The steps from the variables to the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasoning {
    /// `SLIPWAY_ENV` and its alias `APP_ENV`: whether each is set, and to what if that
    /// is one of the words.
    pub declared: Vec<(&'static str, &'static str)>,
    /// What the machine and its variables show.
    pub evidence: Vec<Evidence>,
    /// What the evidence amounts to.
    pub platform: Platform,
    /// The environment, or the rule that refuses to name one.
    pub environment: Result<Environment, Ruling>,
    /// What the guard says to all this, whatever the database.
    pub ruling: Ruling,
    /// What follows for files, databases and cookies.
    pub follows: Vec<String>,
}

impl Reasoning {
    /// Reasons as every command does before it starts.
    pub fn of(environ: &Environ) -> Self {
        let sighting = Sighting::of(environ);
        let environment = environment(environ).map_err(|refusal| *refusal.ruling);
        let ruling = without_database(environ, &sighting);
        let follows = match &environment {
            Ok(environment) => consequences(environ, *environment, sighting.platform),
            Err(_) => vec!["no command starts, and no file of an environment is read".to_owned()],
        };
        Self {
            declared: Environment::NAMES
                .into_iter()
                .map(|name| (name, word(environ.get(name))))
                .collect(),
            platform: sighting.platform,
            evidence: sighting.evidence,
            environment,
            ruling,
            follows,
        }
    }
}

fn word(declared: Option<&str>) -> &'static str {
    let Some(declared) = declared else {
        return "not set";
    };
    Environment::ALL
        .into_iter()
        .map(Environment::as_str)
        .find(|word| *word == declared)
        .unwrap_or("set to an unknown word")
}

fn consequences(environ: &Environ, environment: Environment, platform: Platform) -> Vec<String> {
    let mut follows = Vec::new();
    if !Environment::NAMES
        .iter()
        .any(|name| environ.get(name).is_some())
    {
        follows.push(format!(
            "SLIPWAY_ENV is not set on a dyno, so the strictest is assumed: {environment} (rule A6)"
        ));
    }
    follows.push(format!("{environment}.toml goes on top of default.toml"));
    follows.push(
        match environment {
            Environment::Test => {
                "the database is named by TEST_DATABASE_URL alone and must end in _test"
            }
            _ => "the database is named by DATABASE_URL or the DATABASE_* components",
        }
        .to_owned(),
    );
    follows.push(
        match platform.is_proven() && environment.is_deployed() {
            true => "databases elsewhere may be dialled; the stamp in one decides the rest",
            false => {
                "only databases on this machine and on private networks may be dialled, and those \
                 that database.remote_hosts lists (rules A10 and A11); the stamp in one decides the rest"
            }
        }
        .to_owned(),
    );
    follows.push(
        match environment.is_deployed() {
            true => "cookies must be secure, and connections to the database encrypted",
            false => "cookies need not be secure",
        }
        .to_owned(),
    );
    follows
}

impl fmt::Display for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "declared:")?;
        for (name, seen) in &self.declared {
            writeln!(f, "  {name}: {seen}")?;
        }
        writeln!(f, "evidence:")?;
        for Evidence { name, seen } in &self.evidence {
            writeln!(f, "  {name}: {seen}")?;
        }
        writeln!(f, "platform: {}", self.platform)?;
        match &self.environment {
            Ok(environment) => writeln!(f, "environment: {environment}")?,
            Err(_) => writeln!(f, "environment: none")?,
        }
        writeln!(f, "guard: {}", self.ruling)?;
        writeln!(f, "so:")?;
        for consequence in &self.follows {
            writeln!(f, "  - {consequence}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_laptop_with_a_declaration_is_explained() {
        let environ = [("SLIPWAY_ENV", "development"), ("HOME", "/home/dev")];

        let told = Reasoning::of(&environ.into()).to_string();

        for line in [
            "  SLIPWAY_ENV: development\n",
            "  APP_ENV: not set\n",
            "  DYNO: not set\n",
            "platform: none in sight\n",
            "environment: development\n",
            "guard: rule A15: nothing speaks against dialling it; ",
            "  - development.toml goes on top of default.toml\n",
        ] {
            assert!(told.contains(line), "{line}{told}");
        }
    }

    #[test]
    fn a_contradiction_is_told_with_the_rule_that_refuses() {
        let pasted = [
            ("APP_ENV", "production"),
            ("DYNO", "web.1"),
            ("HOME", "/home/dev"),
        ];

        let reasoning = Reasoning::of(&pasted.into());

        assert!(!reasoning.platform.is_proven());
        assert_eq!(reasoning.ruling.rule, "A8");
        assert!(
            reasoning.to_string().contains(
                "guard: rule A8: the platform is none, but variables copied from a Heroku dyno; "
            ),
            "{reasoning}"
        );
    }

    #[test]
    fn without_a_declaration_nothing_starts() {
        let reasoning = Reasoning::of(&Environ::default());

        assert!(reasoning.environment.is_err());
        assert!(
            reasoning
                .to_string()
                .contains("guard: rule A1: SLIPWAY_ENV is not set"),
            "{reasoning}"
        );
    }

    #[test]
    fn no_variable_is_shown_but_a_word_that_we_know() {
        let environ = [
            ("SLIPWAY_ENV", "canary-1"),
            ("APP_ENV", "canary-2"),
            ("DYNO", "canary-3"),
            ("HOME", "canary-4"),
        ];

        let reasoning = Reasoning::of(&environ.into());

        let shown = format!("{reasoning} {reasoning:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
