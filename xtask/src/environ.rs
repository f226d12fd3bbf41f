//! The one room of xtask in which the environment is read.
//!
//! It also decides what children see. Names through which libpq or the product could
//! reach another database are taken out here, so no command can forget to.
#![expect(
    clippy::disallowed_methods,
    reason = "xtask links no crate of ours, so it needs a room of its own"
)]

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;

/// Variables that name a database or an environment, besides everything that starts
/// with `PG`: each would contradict what xtask sets, or lead past it.
const MISLEADING: [&str; 10] = [
    "APP_ENV",
    "DATABASE_HOST",
    "DATABASE_NAME",
    "DATABASE_PASSWORD",
    "DATABASE_PORT",
    "DATABASE_URL",
    "DATABASE_USER",
    "SLIPWAY_ENV",
    "TEST_DATABASE_URL",
    "SLIPWAY_BIN",
];

/// The command line without the program's own name.
pub(crate) fn arguments() -> Vec<String> {
    env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect()
}

/// The value of `name`; an empty one counts as absent.
pub(crate) fn get(name: &str) -> Option<OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}

/// The folders in which programs are looked for.
pub(crate) fn search_path() -> Vec<PathBuf> {
    get("PATH")
        .map(|path| env::split_paths(&path).collect())
        .unwrap_or_default()
}

/// The environment for a child that talks to a database: ours without [`MISLEADING`]
/// names and without libpq's own variables.
pub(crate) fn without_databases() -> Vec<(OsString, OsString)> {
    env::vars_os()
        .filter(|(name, _)| !misleads(&name.to_string_lossy()))
        .collect()
}

/// Gives `command` that environment and, on top of it, `settings`.
pub(crate) fn give(command: &mut Command, settings: &[(&str, String)]) {
    command.env_clear().envs(without_databases());
    command.envs(settings.iter().map(|(name, value)| (name, value)));
}

fn misleads(name: &str) -> bool {
    name.starts_with("PG") || MISLEADING.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::misleads;

    #[test]
    fn every_way_to_another_database_is_taken_out() {
        for name in [
            "PGHOST",
            "PGSERVICE",
            "DATABASE_URL",
            "TEST_DATABASE_URL",
            "APP_ENV",
        ] {
            assert!(misleads(name), "{name} got through");
        }
        for name in ["PATH", "HOME", "RUST_LOG", "SLIPWAY__JOBS__INLINE"] {
            assert!(!misleads(name), "{name} was taken out");
        }
    }
}
