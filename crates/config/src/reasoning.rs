//! Why a process believes to be where it is: the declaration, its alias, what the
//! platform shows, and what follows.
//!
//! It decides nothing; it tells what `environment.rs` and `guard.rs` decide. Of the
//! evidence it shows what was looked for, never what else a variable holds.

use std::fmt;

use crate::guard::refuse_contradictions;
use crate::{Environ, Environment, Platform};

/// The steps from the variables to the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reasoning {
    /// `SLIPWAY_ENV` and its alias `APP_ENV`: whether each is set, and to what if that
    /// is one of the words.
    pub declared: Vec<(&'static str, &'static str)>,
    /// What the platform shows: what was looked at and what was seen.
    pub evidence: Vec<(&'static str, &'static str)>,
    /// What the evidence amounts to.
    pub platform: Platform,
    /// The environment, or the sentence that refuses to name one.
    pub environment: Result<Environment, String>,
    /// What follows for files, databases and the guard.
    pub follows: Vec<String>,
}

impl Reasoning {
    /// Reasons as every command does before it starts.
    pub fn of(environ: &Environ) -> Self {
        let environment = Environment::declared(environ);
        let platform = Platform::shown_by(environ);
        let dyno = environ.get("DYNO").map_or("not set", |_| "set");
        let home = match environ.get("HOME") {
            Some("/app") => "/app, as on a dyno",
            Some(_) => "not a dyno's",
            None => "not set",
        };
        let follows = match &environment {
            Ok(environment) => consequences(*environment, platform),
            Err(_) => vec!["no command starts, and no file of an environment is read".to_owned()],
        };
        Self {
            declared: Environment::NAMES
                .into_iter()
                .map(|name| (name, word(environ.get(name))))
                .collect(),
            evidence: vec![("DYNO", dyno), ("HOME", home)],
            platform,
            environment,
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

fn consequences(environment: Environment, platform: Platform) -> Vec<String> {
    let database = match environment {
        Environment::Test => {
            "the database is named by TEST_DATABASE_URL alone and must end in _test"
        }
        _ => "the database is named by DATABASE_URL or the DATABASE_* components",
    };
    let reach = match platform {
        Platform::Dyno => "databases elsewhere may be dialled",
        Platform::CopiedDyno | Platform::None => {
            "only databases on this machine may be dialled (rule A11)"
        }
    };
    let cookies = if environment.is_deployed() {
        "cookies must be secure"
    } else {
        "cookies need not be secure"
    };
    let mut follows = vec![
        format!("{environment}.toml goes on top of default.toml"),
        database.to_owned(),
        reach.to_owned(),
        cookies.to_owned(),
    ];
    if let Err(refusal) = refuse_contradictions(environment, platform) {
        follows.push(format!("commands that need a database are {refusal}"));
    }
    follows
}

impl fmt::Display for Reasoning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "declared:")?;
        for (name, seen) in &self.declared {
            writeln!(f, "  {name}: {seen}")?;
        }
        writeln!(f, "evidence:")?;
        for (name, seen) in &self.evidence {
            writeln!(f, "  {name}: {seen}")?;
        }
        writeln!(f, "platform: {}", self.platform)?;
        match &self.environment {
            Ok(environment) => writeln!(f, "environment: {environment}")?,
            Err(sentence) => writeln!(f, "environment: none, because {sentence}")?,
        }
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
            "  - development.toml goes on top of default.toml\n",
        ] {
            assert!(told.contains(line), "{line}{told}");
        }
    }

    #[test]
    fn a_contradiction_ends_with_the_rule_that_refuses() {
        let pasted = [
            ("APP_ENV", "production"),
            ("DYNO", "web.1"),
            ("HOME", "/home/dev"),
        ];

        let reasoning = Reasoning::of(&pasted.into());

        assert_eq!(reasoning.platform, Platform::CopiedDyno);
        assert!(
            reasoning
                .follows
                .iter()
                .any(|told| told.contains("rule A8")),
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
                .contains("environment: none, because SLIPWAY_ENV is not set"),
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
