//! Autobahn's cases of WebSocket conformance against the sockets' own limits and close
//! codes.
//!
//! The cases are fetched by pip and converted into `target/`, never committed; what they
//! drive and what is expected of each is in `tests/autobahn`. A machine on which they
//! cannot be had goes without and says so.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::process::{Group, lines, works};
use crate::say;
use crate::scene::Scene;
use crate::stop::{Stop, Stopped};
use crate::tally::{Tally, of_cargo};
use crate::workspace::Workspace;

/// What a filter is compared with: cases have numbers and no names.
const NAME: &str = "autobahn";
/// Where the driver is.
const FOLDER: &str = "tests/autobahn";
/// An archive of half a megabyte, and two hundred files to convert: half a minute.
const FETCH_LIMIT: Duration = Duration::from_secs(300);
/// One crate, unless somebody asks for these cases alone on a fresh clone.
const BUILD_LIMIT: Duration = Duration::from_secs(20 * 60);
/// 259 cases of one to three seconds, 32 at a time: ten seconds on a quiet machine.
const CASES_LIMIT: Duration = Duration::from_secs(180);

/// Runs the cases against the echo program.
pub(crate) fn run(scene: &Scene<'_>, filter: Option<&str>) -> Result<Tally> {
    let (workspace, stop) = (scene.workspace, scene.stop);
    if filter.is_some_and(|filter| !NAME.contains(filter)) {
        return Ok(Tally::default());
    }
    let cases = workspace.target.join("tools").join(NAME);
    if let Err(reason) = fetch(workspace, &cases, stop)? {
        say::skipped("the Autobahn cases", reason);
        return Ok(Tally::SKIPPED);
    }
    let mut build = scene.toolchain.cargo();
    // Of the whole workspace, so that what `cargo test` has built is used again.
    build.args(["build", "--quiet", "--workspace", "--example", "echo"]);
    build.current_dir(&workspace.root);
    Group::start(&mut build, "building the echo")?.finish(BUILD_LIMIT, stop)?;
    let mut command = python(workspace, "run.py");
    let echo = workspace.product(false).with_file_name("examples");
    command.arg(cases).arg(echo.join("echo"));
    let mut tally = Tally::default();
    let status = lines(
        &mut command,
        "the Autobahn cases",
        CASES_LIMIT,
        stop,
        |line| {
            say::out(line);
            if let Some(part) = of_cargo(line) {
                tally += part;
            }
        },
    )?;
    Ok(tally.ended(status.success()))
}

/// Makes the cases ready, unless they are; `Err` says why they cannot be had.
fn fetch(workspace: &Workspace, cases: &Path, stop: &Stop) -> Result<Result<(), String>> {
    // Written last by the script.
    if cases.join("complete").is_file() {
        return Ok(Ok(()));
    }
    // The converter has left Python with 3.13.
    if !works(Command::new("python3").args(["-W", "ignore", "-c", "import lib2to3, pip"])) {
        return Ok(Err(
            "no python3 with pip and lib2to3 (3.9 to 3.12)".to_owned()
        ));
    }
    say::step("autobahn", "fetching the cases");
    let mut command = python(workspace, "fetch.py");
    command.arg(cases).stdout(Stdio::null());
    let ended = Group::start(&mut command, "fetching the Autobahn cases")
        .and_then(|mut group| group.finish(FETCH_LIMIT, stop));
    match ended {
        Err(error) if error.is::<Stopped>() => Err(error),
        Err(error) => Ok(Err(format!("they cannot be fetched: {error:#}"))),
        Ok(()) => Ok(Ok(())),
    }
}

fn python(workspace: &Workspace, script: &str) -> Command {
    let mut command = Command::new("python3");
    // No folder of compiled scripts beside the scripts.
    command
        .arg("-B")
        .arg(workspace.root.join(FOLDER).join(script));
    command
}
