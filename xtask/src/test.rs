//! `cargo xtask test`: every suite of the project on a Postgres made for this one run.
//!
//! Tests never see the address of any other database. The last line on standard output
//! is the sum over all suites; a run in which nothing was tested has failed.

use std::time::Duration;

use anyhow::Result;

use crate::browser;
use crate::dev::{BUILD_LIMIT, built};
use crate::postgres::{Claim, Cluster};
use crate::process::{Group, lines};
use crate::say;
use crate::stop::{Stop, Stopped};
use crate::tally::{Tally, of_cargo};
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// The database that tests are told of; the guard insists on the end of its name.
const DATABASE: &str = "slipway_test";
/// The Rust suites with their compilation; half of what a check in CI may take.
const RUST_LIMIT: Duration = Duration::from_secs(45 * 60);

/// Runs the tests whose name contains `filter`, or all; true when they are good.
pub(crate) fn run(workspace: &Workspace, filter: Option<&str>, stop: &Stop) -> Result<bool> {
    let tally = match suites(workspace, filter, stop) {
        Err(error) if !error.is::<Stopped>() => {
            say::error(format_args!("{error:#}"));
            Tally::BROKEN
        }
        result => result?,
    };
    if tally == Tally::default() {
        say::note(match filter {
            Some(filter) => format!("no test's name contains `{filter}`"),
            None => "no test was found".to_owned(),
        });
    }
    say::out(tally);
    Ok(tally.is_good())
}

fn suites(workspace: &Workspace, filter: Option<&str>, stop: &Stop) -> Result<Tally> {
    let toolchain = Toolchain::settle(workspace)?;
    let mut build = toolchain.build(false);
    let mut build = Group::start(build.current_dir(&workspace.root), "the build")?;
    let cluster = Claim::throw_away(&workspace.clusters(), stop)?.start(stop)?;
    let result = build
        .finish(BUILD_LIMIT, stop)
        .and_then(|()| on(workspace, &toolchain, &cluster, filter, stop));
    cluster.remove(stop)?;
    result
}

fn on(
    workspace: &Workspace,
    toolchain: &Toolchain,
    cluster: &Cluster,
    filter: Option<&str>,
    stop: &Stop,
) -> Result<Tally> {
    let binary = workspace.product(false);
    built(&binary)?;
    cluster.ensure_database(DATABASE)?;
    let settings = [
        ("SLIPWAY_ENV", "test".to_owned()),
        ("TEST_DATABASE_URL", cluster.address(DATABASE)),
        ("SLIPWAY_BIN", binary.display().to_string()),
    ];
    let mut cargo = toolchain.cargo();
    cargo.envs(settings.iter().map(|(name, value)| (name, value)));
    cargo
        .args(["test", "--workspace", "--no-fail-fast"])
        .args(filter)
        .current_dir(&workspace.root);
    let mut tally = Tally::default();
    let status = lines(&mut cargo, "cargo test", RUST_LIMIT, stop, |line| {
        say::out(line);
        if let Some(part) = of_cargo(line) {
            tally += part;
        }
    })?;
    let mut tally = tally.ended(status.success());
    tally += browser::run(workspace, filter, &settings, stop)?;
    Ok(tally)
}
