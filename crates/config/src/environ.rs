//! What a process was started with and on, read once.
//!
//! It never changes a variable and never shows a value: a value may be a secret.

use std::collections::BTreeMap;

use crate::machine::Machine;

/// A variable that is not Unicode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the environment variable {0:?} is not valid Unicode")]
pub struct NotUnicode(String);

/// A copy of the environment variables that a process was started with, and what the
/// machine showed of itself.
#[derive(Clone, Default)]
pub struct Environ {
    variables: BTreeMap<String, String>,
    pub(crate) machine: Machine,
}

impl Environ {
    /// Reads the environment of this process.
    ///
    /// # Errors
    /// Names the first variable whose name or value is not Unicode. Variables
    /// that are none of our business are kept to the same rule, because which
    /// ones are ours cannot be told from a name that cannot be read.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the one place that reads it"
    )]
    pub fn of_process() -> Result<Self, NotUnicode> {
        std::env::vars_os()
            .map(
                |(name, value)| match (name.into_string(), value.into_string()) {
                    (Ok(name), Ok(value)) => Ok((name, value)),
                    (Ok(name), Err(_)) => Err(NotUnicode(name)),
                    (Err(name), _) => Err(NotUnicode(name.to_string_lossy().into_owned())),
                },
            )
            .collect::<Result<_, _>>()
            .map(|variables| Self {
                variables,
                machine: Machine::of_process(),
            })
    }

    /// The value of `name`; a variable that is set to nothing counts as unset,
    /// because no shell can tell a person which of the two it is.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    /// Every variable whose name begins with `prefix`.
    pub fn beginning_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.variables
            .range(prefix.to_owned()..)
            .take_while(move |(name, _)| name.starts_with(prefix))
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environ {
    fn from(pairs: [(&str, &str); N]) -> Self {
        pairs
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }
}

impl FromIterator<(String, String)> for Environ {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(pairs: I) -> Self {
        Self {
            variables: pairs.into_iter().collect(),
            machine: Machine::default(),
        }
    }
}

impl std::fmt::Debug for Environ {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.variables.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_set_to_nothing_is_unset() {
        let environ = Environ::from([("PORT", ""), ("HOME", "/app")]);

        assert_eq!(environ.get("PORT"), None);
        assert_eq!(environ.get("HOME"), Some("/app"));
    }

    #[test]
    fn debug_output_shows_names_and_no_values() {
        let environ = Environ::from([("SESSION_SECRET", "canary-7f3a")]);

        let shown = format!("{environ:?}");

        assert!(
            shown.contains("SESSION_SECRET") && !shown.contains("canary"),
            "{shown}"
        );
    }
}
