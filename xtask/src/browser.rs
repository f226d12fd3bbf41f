//! The browser suite: Node's own test runner driving a real Chromium.
//!
//! Node is needed here and nowhere else, so a machine without it, or without a browser,
//! skips the suite and says so; it never passes silently. No browser is downloaded.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::environ;
use crate::process::{Group, lines, output, works};
use crate::say;
use crate::stop::{Stop, Stopped};
use crate::tally::{NodeTally, Tally, add_node_line};
use crate::workspace::Workspace;

/// Where the suite is.
const FOLDER: &str = "tests/browser";
/// What browsers are called, the one of the distributions first.
const BROWSERS: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];
/// Where a browser is on macOS, which puts none on the search path.
const MAC_BROWSER: &str = "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome";
/// Packages of the suite are few; a slow mirror is not.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);
/// The compiler looks at a few thousand lines.
const TYPES_LIMIT: Duration = Duration::from_secs(120);
/// The oldest Node whose test runner can do what is asked of it.
const NODE_MIN: u32 = 20;
/// A hung page must not hang the whole run.
const SUITE_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Runs the suite with the given variables; part of a name selects tests.
pub(crate) fn run(
    workspace: &Workspace,
    filter: Option<&str>,
    settings: &[(&str, String)],
    stop: &Stop,
) -> Result<Tally> {
    let folder = workspace.root.join(FOLDER);
    if !folder.join("package.json").is_file() {
        return Ok(Tally::default());
    }
    let Some(browser) = browser() else {
        return Ok(skipped(
            "no Chromium: install it (`apt-get install chromium`) or set CHROMIUM",
        ));
    };
    if let Err(reason) = node() {
        return Ok(skipped(&reason));
    }
    if let Err(error) = install(&folder, stop) {
        if error.is::<Stopped>() {
            return Err(error);
        }
        say::error(format_args!("{error:#}"));
        return Ok(Tally::BROKEN);
    }
    let mut command = Command::new("node");
    environ::give(&mut command, settings);
    command.env("CHROMIUM", browser).current_dir(&folder);
    // One file at a time: each has a server and a browser, and machines have few cores.
    command.args(["--test", "--test-reporter=spec", "--test-concurrency=1"]);
    if let Some(filter) = filter {
        command.arg(format!("--test-name-pattern={filter}"));
    }
    command.args(suites(&folder)?);
    let mut node = NodeTally::default();
    let status = lines(
        &mut command,
        "the browser suite",
        SUITE_LIMIT,
        stop,
        |line| {
            say::out(line);
            add_node_line(&mut node, line);
        },
    )?;
    let mut tally = Tally::from(node);
    if filter.is_some() {
        // Node reports what the pattern left out as skipped; nobody asked for those.
        tally.skipped = 0;
    }
    Ok(tally.ended(status.success()))
}

/// Checks the types of the page's scripts; `Err` says why that cannot be done here.
pub(crate) fn check_types(workspace: &Workspace, stop: &Stop) -> Result<Result<bool, String>> {
    let folder = workspace.root.join(FOLDER);
    if !folder.join("package.json").is_file() {
        return Ok(Err(format!("there is no {FOLDER}")));
    }
    if let Err(reason) = node() {
        return Ok(Err(reason));
    }
    install(&folder, stop)?;
    let mut command = Command::new("npm");
    command
        .args(["run", "--silent", "check"])
        .current_dir(&folder);
    let status = Group::start(&mut command, "npm run check")?.wait(TYPES_LIMIT, stop)?;
    Ok(Ok(status.success()))
}

/// An error, as a reason to skip, unless a Node that is new enough is here with npm.
fn node() -> Result<(), String> {
    let missing = || "no Node: install it (`apt-get install nodejs npm`)".to_owned();
    let Ok(said) = output(Command::new("node").arg("--version")) else {
        return Err(missing());
    };
    if !works(Command::new("npm").arg("--version")) {
        return Err(missing());
    }
    match major(&said) {
        Some(major) if major >= NODE_MIN => Ok(()),
        _ => Err(format!(
            "Node {} is older than {NODE_MIN}, install a newer one",
            said.trim()
        )),
    }
}

/// `v20.20.2` to `20`.
fn major(said: &str) -> Option<u32> {
    said.trim()
        .strip_prefix('v')?
        .split('.')
        .next()?
        .parse()
        .ok()
}

fn skipped(reason: &str) -> Tally {
    say::skipped("the browser suite", reason);
    Tally::SKIPPED
}

fn browser() -> Option<PathBuf> {
    if let Some(named) = environ::get("CHROMIUM").map(PathBuf::from) {
        return named.is_file().then_some(named);
    }
    let folders = environ::search_path();
    BROWSERS
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .chain([PathBuf::from(MAC_BROWSER)])
        .find(|path| path.is_file())
}

/// Installs the packages that the lock file names, unless they are there already.
fn install(folder: &Path, stop: &Stop) -> Result<()> {
    // npm writes the second file at the end of every installation.
    let age = |name: &str| {
        fs::metadata(folder.join(name))
            .and_then(|file| file.modified())
            .ok()
    };
    let (wanted, have) = (
        age("package-lock.json"),
        age("node_modules/.package-lock.json"),
    );
    if wanted.is_none() || (have.is_some() && have >= wanted) {
        return Ok(());
    }
    let mut command = Command::new("npm");
    command.args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--loglevel=error",
    ]);
    command.current_dir(folder).stdout(Stdio::null());
    Group::start(&mut command, "npm ci")?
        .finish(INSTALL_LIMIT, stop)
        .with_context(|| format!("installing the packages of {FOLDER}"))
}

fn suites(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found: Vec<PathBuf> = fs::read_dir(folder)?
        .filter_map(|entry| entry.ok()?.file_name().to_str().map(PathBuf::from))
        .filter(|name| name.extension() == Some(OsStr::new("mjs")))
        .filter(|name| name.to_string_lossy().ends_with(".test.mjs"))
        .collect();
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_of_node_is_read() {
        assert_eq!(major("v20.20.2\n"), Some(20));
        assert_eq!(major("v9"), Some(9));
        assert_eq!(major("20.1"), None);
        assert_eq!(major(""), None);
    }
}
