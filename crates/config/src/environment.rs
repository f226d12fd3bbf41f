//! Which environment this process runs in, as a person has declared it.
//!
//! It looks at the declaration alone; what the platform says to it is in `guard/`.

use std::fmt;
use std::str::FromStr;

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

    /// Reads the declaration: `SLIPWAY_ENV`, or its alias `APP_ENV`; `None` if neither
    /// is set.
    ///
    /// # Errors
    /// A sentence for the operator when the two variables disagree, or the word is
    /// unknown.
    pub(crate) fn declared(environ: &Environ) -> Result<Option<Self>, String> {
        let [ours, alias] = Self::NAMES;
        let (name, word) = match (environ.get(ours), environ.get(alias)) {
            (Some(word), Some(other)) if word != other => {
                return Err(format!("{ours} and its alias {alias} say different things"));
            }
            (Some(word), _) => (ours, word),
            (None, Some(word)) => (alias, word),
            (None, None) => return Ok(None),
        };
        word.parse().map(Some).map_err(|UnknownEnvironment| {
            // The word is not repeated: anything may have been pasted.
            let words = Self::ALL.map(|environment| environment.as_str().to_owned());
            let whole = |known: &&String| word.len() >= 3 && known.starts_with(word);
            let abbreviated = words.iter().find(whole).cloned();
            let meant = abbreviated.or_else(|| nearest(word, words));
            let meant = meant.map_or_else(String::new, |word| format!("; did you mean {word}?"));
            format!("{name} is none of {}{meant}", Self::words())
        })
    }

    /// What to say if nothing is declared where something must be.
    pub(crate) fn undeclared() -> String {
        let [ours, _] = Self::NAMES;
        format!("{ours} is not set; it is one of {}", Self::words())
    }

    fn words() -> String {
        Self::ALL.map(Self::as_str).join(", ")
    }
}

/// Not the word for any environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownEnvironment;

impl FromStr for Environment {
    type Err = UnknownEnvironment;

    fn from_str(text: &str) -> Result<Self, UnknownEnvironment> {
        let mut all = Self::ALL.into_iter();
        all.find(|environment| environment.as_str() == text)
            .ok_or(UnknownEnvironment)
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_declared_is_nothing_and_never_a_default() {
        assert_eq!(Environment::declared(&Environ::default()), Ok(None));
    }

    #[test]
    fn the_alias_counts_unless_it_contradicts() {
        let alias = Environ::from([("APP_ENV", "staging")]);
        assert_eq!(
            Environment::declared(&alias),
            Ok(Some(Environment::Staging))
        );

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
}
