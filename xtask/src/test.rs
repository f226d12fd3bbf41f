//! `cargo xtask test`: every suite of the project on a Postgres made for this one run.
//!
//! Tests never see the address of any other database. The last line on standard output
//! is the sum over all suites; a run in which nothing was tested has failed.

use std::fs;
use std::time::Duration;

use anyhow::Result;

use crate::arguments::TestOptions;
use crate::postgres::{NoPackage, PACKAGED_VERSION, Pick};
use crate::process::lines;
use crate::say;
use crate::scene::{Ground, Scene};
use crate::stop::{Stop, Stopped};
use crate::tally::{Tally, of_cargo};
use crate::workspace::Workspace;
use crate::{autobahn, browser, bucket};

/// The Rust suites with their compilation; half of what a check in CI may take.
const RUST_LIMIT: Duration = Duration::from_secs(45 * 60);
/// All Rust suites.
const EVERYTHING: &[&str] = &["--workspace"];
/// Those that meet a database; no other can tell one server from another.
const ON_DATABASES: &[&str] = &["--package", "slipway-db", "--package", "slipway-tests"];

/// Runs the tests that are asked for; true when they are good.
pub(crate) fn run(workspace: &Workspace, options: &TestOptions, stop: &Stop) -> Result<bool> {
    let filter = options.filter.as_deref();
    let result = Scene::find(workspace, stop).and_then(|scene| {
        on_server(&scene, options.postgres, |ground| {
            every_suite(&scene, filter, ground)
        })
    });
    let tally = counted(result)?;
    if tally == Tally::default() {
        say::note(match filter {
            Some(filter) => format!("no test's name contains `{filter}`"),
            None => "no test was found".to_owned(),
        });
    }
    say::out(tally);
    Ok(tally.is_good())
}

/// Runs all tests on the server found here, and those that meet a database once more on
/// the packaged one, if that is another version; true when both runs are good.
pub(crate) fn run_on_both_servers(scene: &Scene<'_>) -> Result<bool> {
    let mut version = None;
    let mut tally = counted(on_server(scene, Pick::Found, |ground| {
        version = Some(ground.server_version.clone());
        every_suite(scene, None, ground)
    }))?;
    if tally.failed > 0 {
        say::step("tests", "FAILED, to repeat: cargo xtask test");
    }
    // Without a version nothing could be run at all, and would not be now.
    if version.is_some_and(|version| version != PACKAGED_VERSION) {
        tally += on_packaged_server(scene)?;
    }
    say::out(tally);
    Ok(tally.is_good())
}

fn on_packaged_server(scene: &Scene<'_>) -> Result<Tally> {
    say::step(
        "tests",
        format_args!("those that meet a database, once more on PostgreSQL {PACKAGED_VERSION}"),
    );
    let result = on_server(scene, Pick::Package, |ground| {
        rust_suites(scene, ON_DATABASES, None, ground)
    });
    let tally = match result {
        Err(error) if error.is::<NoPackage>() => {
            say::skipped(
                format_args!("the tests on PostgreSQL {PACKAGED_VERSION}"),
                error,
            );
            Tally::SKIPPED
        }
        result => counted(result)?,
    };
    if tally.failed > 0 {
        say::step(
            "tests",
            "FAILED, to repeat: cargo xtask test --postgres package",
        );
    }
    Ok(tally)
}

/// An error on the way is told and counts as one failure; a stop is no result at all.
fn counted(result: Result<Tally>) -> Result<Tally> {
    match result {
        Err(error) if !error.is::<Stopped>() => {
            say::error(format_args!("{error:#}"));
            Ok(Tally::BROKEN)
        }
        result => result,
    }
}

fn on_server(
    scene: &Scene<'_>,
    pick: Pick,
    suites: impl FnOnce(&Ground) -> Result<Tally>,
) -> Result<Tally> {
    let build = scene.toolchain.build(false);
    scene.on_ground(pick, build, &scene.workspace.product(false), suites)
}

fn every_suite(scene: &Scene<'_>, filter: Option<&str>, ground: &Ground) -> Result<Tally> {
    let mut tally = rust_suites(scene, EVERYTHING, filter, ground)?;
    tally += autobahn::run(scene, filter)?;
    tally += browser::run(scene.workspace, filter, &ground.settings, scene.stop)?;
    Ok(tally)
}

fn rust_suites(
    scene: &Scene<'_>,
    packages: &[&str],
    filter: Option<&str>,
    ground: &Ground,
) -> Result<Tally> {
    let skipped = scene.workspace.target.join("skipped-tests");
    let _none_yet = fs::remove_file(&skipped);
    let mut cargo = scene.toolchain.cargo();
    cargo.env("TEST_SKIPPED", &skipped);
    let mut tally = Tally::default();
    match bucket::program(scene.workspace, scene.stop)? {
        Ok(program) => _ = cargo.env(bucket::VARIABLE, program),
        Err(reason) => {
            say::skipped("the tests of the S3 store", reason);
            tally += Tally::SKIPPED;
        }
    }
    cargo.envs(ground.settings.iter().map(|(name, value)| (name, value)));
    cargo
        .args(["test", "--no-fail-fast"])
        .args(packages)
        .args(filter)
        .current_dir(&scene.workspace.root);
    let status = lines(&mut cargo, "cargo test", RUST_LIMIT, scene.stop, |line| {
        say::out(line);
        if let Some(part) = of_cargo(line) {
            tally += part;
        }
    })?;
    for line in fs::read_to_string(&skipped).unwrap_or_default().lines() {
        say::skipped("a test", line);
        tally.skip_one();
    }
    Ok(tally.ended(status.success()))
}
