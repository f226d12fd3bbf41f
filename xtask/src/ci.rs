//! `cargo xtask ci`: everything a change is checked for, quickest first.
//!
//! The list is the same on every machine. The first failure ends the run with the
//! command that repeats it; tests come last, so their sum is the last line of output.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::process::{Group, works};
use crate::scene::Scene;
use crate::stop::Stop;
use crate::workspace::Workspace;
use crate::{browser, layers, say, test, tidy};

/// Packages in the lock file. Every one is code that we answer for; at the start of the
/// project there were 270.
const PACKAGES_MAX: usize = 400;
/// One compiler pass over everything on a cold, slow machine.
const STEP_LIMIT: Duration = Duration::from_secs(45 * 60);

/// What a step came to.
enum Outcome {
    Held,
    Failed,
    Skipped(String),
}

/// A step: its name, the command that repeats or mends it, what it does.
type Step = (&'static str, &'static str, Check);
type Check = fn(&Scene<'_>) -> Result<Outcome>;

const STEPS: [Step; 9] = [
    ("format", "cargo fmt --all", format),
    ("layers", "cargo xtask layers", layers),
    ("tidy", "cargo xtask tidy", tidy),
    ("migrations", MIGRATIONS, migrations),
    ("lock file", "cargo tree --duplicates", lock_file),
    ("clippy", CLIPPY, clippy),
    ("documents", DOCUMENTS, documents),
    ("scripts", "npm --prefix tests/browser run check", scripts),
    ("licences", LICENCES, licences),
];
const CLIPPY: &str = "cargo clippy --workspace --all-targets -- --deny warnings";
const MIGRATIONS: &str = "squawk --assume-in-transaction migrations/*/up.sql";
const DOCUMENTS: &str = "RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps";
const LICENCES: &str = "cargo deny check --hide-inclusion-graph licenses bans sources";

impl From<bool> for Outcome {
    fn from(held: bool) -> Outcome {
        if held { Outcome::Held } else { Outcome::Failed }
    }
}

/// Runs every check; true when all hold.
pub(crate) fn run(workspace: &Workspace, stop: &Stop) -> Result<bool> {
    let began = Instant::now();
    let scene = Scene::find(workspace, stop)?;
    for (name, again, step) in STEPS {
        let began = Instant::now();
        let outcome = step(&scene)?;
        let seconds = began.elapsed().as_secs_f32();
        match outcome {
            Outcome::Held => say::step(name, format_args!("ok, {seconds:.1} s")),
            Outcome::Skipped(why) => say::step(name, format_args!("SKIPPED, {why}")),
            Outcome::Failed => {
                say::step(
                    name,
                    format_args!("FAILED after {seconds:.1} s, to repeat or mend: {again}"),
                );
                return Ok(false);
            }
        }
    }
    say::step("tests", "running");
    let good = test::run_on_both_servers(&scene)?;
    let seconds = began.elapsed().as_secs_f32();
    if good {
        say::step("ci", format_args!("ok, {seconds:.1} s in all"));
    } else {
        say::step("ci", format_args!("FAILED after {seconds:.1} s in all"));
    }
    Ok(good)
}

fn format(scene: &Scene<'_>) -> Result<Outcome> {
    cargo(scene, "cargo fmt --all --check", None)
}

fn layers(scene: &Scene<'_>) -> Result<Outcome> {
    Ok(layers::report(scene.workspace)?.into())
}

fn tidy(scene: &Scene<'_>) -> Result<Outcome> {
    Ok(tidy::report(scene.workspace)?.into())
}

/// Looks for statements that hold up the release that still serves; `.squawk.toml` says
/// which are meant. What runs outside a transaction is looked at by itself, because
/// other things are wrong there.
fn migrations(scene: &Scene<'_>) -> Result<Outcome> {
    if !works(Command::new("squawk").arg("--version")) {
        let reason = "squawk is not installed (pip install squawk-cli)";
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    let mut folders = Vec::new();
    for entry in fs::read_dir(scene.workspace.root.join("migrations"))? {
        folders.push(entry.context("listing the migrations")?.path());
    }
    folders.retain(|folder| folder.join("up.sql").is_file());
    folders.sort();
    // Only what runs outside a transaction has one: tidy insists on its one key.
    let (alone, together): (Vec<_>, Vec<_>) = folders
        .into_iter()
        .partition(|folder| folder.join("metadata.toml").is_file());
    for (folders, flag) in [(together, Some("--assume-in-transaction")), (alone, None)] {
        if folders.is_empty() {
            continue;
        }
        let mut command = Command::new("squawk");
        command.args(flag).current_dir(&scene.workspace.root);
        command.args(folders.iter().map(|folder| folder.join("up.sql")));
        let mut child = Group::start(&mut command, "squawk")?;
        if !child.wait(STEP_LIMIT, scene.stop)?.success() {
            return Ok(Outcome::Failed);
        }
    }
    Ok(Outcome::Held)
}

fn clippy(scene: &Scene<'_>) -> Result<Outcome> {
    cargo(scene, CLIPPY, None)
}

fn documents(scene: &Scene<'_>) -> Result<Outcome> {
    let setting = ("RUSTDOCFLAGS", "-D warnings");
    cargo(scene, "cargo doc --workspace --no-deps", Some(setting))
}

fn scripts(scene: &Scene<'_>) -> Result<Outcome> {
    Ok(match browser::check_types(scene.workspace, scene.stop)? {
        Ok(good) => good.into(),
        Err(reason) => Outcome::Skipped(reason),
    })
}

fn licences(scene: &Scene<'_>) -> Result<Outcome> {
    // Building it takes longer than everything else here together.
    if !works(Command::new("cargo-deny").arg("--version")) {
        return Ok(Outcome::Skipped("cargo-deny is not installed".to_owned()));
    }
    cargo(scene, LICENCES, None)
}

/// Runs `line`, which starts with `cargo`, with the cargo that runs us.
fn cargo(scene: &Scene<'_>, line: &str, setting: Option<(&str, &str)>) -> Result<Outcome> {
    let mut command = scene.toolchain.cargo();
    command.args(line.split(' ').skip(1)).envs(setting);
    command.current_dir(&scene.workspace.root);
    let mut child = Group::start(&mut command, line)?;
    Ok(child.wait(STEP_LIMIT, scene.stop)?.success().into())
}

fn lock_file(scene: &Scene<'_>) -> Result<Outcome> {
    let text = fs::read_to_string(scene.workspace.root.join("Cargo.lock"))
        .context("reading Cargo.lock")?;
    let packages = text.lines().filter(|line| *line == "[[package]]").count();
    if packages >= PACKAGES_MAX {
        say::error(format_args!(
            "Cargo.lock has {packages} packages, the limit is {PACKAGES_MAX}: use fewer"
        ));
    }
    Ok((packages < PACKAGES_MAX).into())
}
