//! `cargo xtask bench`: what an optimised build makes of this machine.
//!
//! The program `bench` of the test suite knows the cases, judges them and writes the
//! reports. Here it only gets what it stands on: a Postgres that syncs, as it comes.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::dev::BUILD_LIMIT;
use crate::environ;
use crate::postgres::Pick;
use crate::process::Group;
use crate::scene::Scene;
use crate::stop::Stop;
use crate::workspace::Workspace;

/// Everything together. It moves some 40 GiB, which takes minutes; the rest is for slow
/// disks.
const BENCH_LIMIT: Duration = Duration::from_secs(60 * 60);

/// Measures what is named, of that the cases whose names contain the second word, or
/// everything; true when all bars were held.
pub(crate) fn run(workspace: &Workspace, words: &[String], stop: &Stop) -> Result<bool> {
    let scene = Scene::find(workspace, stop)?.durable();
    let product = scene.toolchain.build(true);
    let binary = workspace.product(true);
    scene.on_ground(Pick::Found, product, &binary, |ground| {
        // On its own: built together, the product would get the features that only
        // tests need.
        let mut build = scene.toolchain.cargo();
        build.args(["build", "--release", "--package", "slipway-tests"]);
        for program in ["bench", "sink", "fanout", "watchers"] {
            build.args(["--bin", program]);
        }
        build.current_dir(&workspace.root);
        Group::start(&mut build, "the build of the bench")?.finish(BUILD_LIMIT, stop)?;
        let mut command = Command::new(binary.with_file_name("bench"));
        environ::give(&mut command, &ground.settings);
        command
            .env("SLIPWAY_BENCH_DIR", workspace.target.join("bench"))
            .args(words)
            .current_dir(&workspace.root);
        let mut bench = Group::start(&mut command, "the bench")?;
        Ok(bench.wait(BENCH_LIMIT, stop)?.success())
    })
}
