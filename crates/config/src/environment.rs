//! Which environment this process runs in: declared by a person, then
//! cross-checked with what the platform shows.
//!
//! It never concludes "production" or "development" from a `PORT` or a `DYNO`
//! alone: both are copied to laptops by ordinary tools.

use std::fmt;

use crate::Environ;
use crate::known::nearest;

/// Where a process runs, as its operator declared it in `SLIPWAY_ENV`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// A person's own machine.
    Development,
    /// A test run; reads `TEST_DATABASE_URL` and never `DATABASE_URL`.
    Test,
    /// A review app: short-lived, its data worth nothing.
    Preview,
    /// Like production, without its users.
    Staging,
    /// The real thing.
    Production,
}

impl Environment {
    /// Every environment.
    pub const ALL: [Self; 5] = [
        Self::Development,
        Self::Test,
        Self::Preview,
        Self::Staging,
        Self::Production,
    ];

    /// The variables that declare it: ours, and its alias.
    pub(crate) const NAMES: [&str; 2] = ["SLIPWAY_ENV", "APP_ENV"];

    /// The word for it, also the name of its file under `config/`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Development => "development",
            Self::Test => "test",
            Self::Preview => "preview",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Whether people other than its developers depend on it.
    pub const fn is_deployed(self) -> bool {
        matches!(self, Self::Preview | Self::Staging | Self::Production)
    }

    /// Reads the declaration: `SLIPWAY_ENV`, or its alias `APP_ENV`.
    ///
    /// # Errors
    /// A sentence for the operator when nothing is declared, when the two
    /// variables disagree, or when the word is unknown.
    pub fn declared(environ: &Environ) -> Result<Self, String> {
        let [ours, alias] = Self::NAMES;
        let (name, word) = match (environ.get(ours), environ.get(alias)) {
            (Some(word), Some(other)) if word != other => {
                return Err(format!(
                    "{ours} and its alias {alias} say different things; unset one of them"
                ));
            }
            (Some(word), _) => (ours, word),
            (None, Some(word)) => (alias, word),
            (None, None) => {
                return Err(format!(
                    "{ours} is not set; set it to one of {}",
                    Self::words()
                ));
            }
        };
        Self::ALL
            .into_iter()
            .find(|environment| environment.as_str() == word)
            .ok_or_else(|| {
                // The word is not repeated: anything may have been pasted.
                let words = Self::ALL.map(|environment| environment.as_str().to_owned());
                let whole = |known: &&String| word.len() >= 3 && known.starts_with(word);
                let abbreviated = words.iter().find(whole).cloned();
                let meant = abbreviated.or_else(|| nearest(word, words));
                let meant =
                    meant.map_or_else(String::new, |word| format!("; did you mean {word}?"));
                format!("{name} is none of {}{meant}", Self::words())
            })
    }

    fn words() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What the surroundings show, whatever was declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// A Heroku dyno: `DYNO` has a dyno's form and the home folder is a dyno's.
    Dyno,
    /// `DYNO` is set but nothing else fits: variables pasted from a dyno.
    CopiedDyno,
    /// No evidence of any platform.
    None,
}

impl Platform {
    /// Weighs the evidence in `environ`.
    pub fn shown_by(environ: &Environ) -> Self {
        match environ.get("DYNO") {
            None => Self::None,
            // A dyno's user lives in /app; `heroku local` and a pasted
            // environment keep the home folder of the person who ran them.
            Some(_) if environ.get("HOME") == Some("/app") => Self::Dyno,
            Some(_) => Self::CopiedDyno,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dyno => "a Heroku dyno",
            Self::CopiedDyno => "none, but variables copied from a dyno",
            Self::None => "none in sight",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_declared_is_an_error_and_never_a_default() {
        let error = Environment::declared(&Environ::default()).unwrap_err();

        assert!(error.starts_with("SLIPWAY_ENV is not set"), "{error}");
    }

    #[test]
    fn the_alias_counts_unless_it_contradicts() {
        let alias = Environ::from([("APP_ENV", "staging")]);
        assert_eq!(Environment::declared(&alias), Ok(Environment::Staging));

        let both = Environ::from([("APP_ENV", "staging"), ("SLIPWAY_ENV", "test")]);
        assert!(Environment::declared(&both).is_err());
    }

    #[test]
    fn a_misspelt_environment_is_told_what_was_meant() {
        let declared = |word| Environment::declared(&Environ::from([("APP_ENV", word)]));

        let near = declared("prodution").unwrap_err();
        let far = declared("canary").unwrap_err();

        assert!(near.starts_with("APP_ENV is none of dev"), "{near}");
        assert!(near.ends_with("; did you mean production?"), "{near}");
        assert!(declared("prod").unwrap_err().contains("mean production?"));
        assert!(!far.contains("did you") && !far.contains("canary"), "{far}");
    }

    #[test]
    fn neither_port_nor_dyno_alone_is_a_platform() {
        for (environ, shown) in [
            (Environ::from([("PORT", "5006")]), Platform::None),
            (
                Environ::from([("DYNO", "web.1"), ("HOME", "/home/dev")]),
                Platform::CopiedDyno,
            ),
            (
                Environ::from([("DYNO", "web.1"), ("HOME", "/app")]),
                Platform::Dyno,
            ),
        ] {
            assert_eq!(Platform::shown_by(&environ), shown);
        }
    }
}
