//! `cargo xtask soak`: the fault campaigns at full length, on optimised builds.
//!
//! The program `soak` of the test suite knows the campaigns, judges them and writes the
//! reports. Here it only gets what it stands on, so its verdict is passed on as it is.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::bucket;
use crate::dev::BUILD_LIMIT;
use crate::environ;
use crate::postgres::Pick;
use crate::process::Group;
use crate::say;
use crate::scene::Scene;
use crate::stop::Stop;
use crate::workspace::Workspace;

/// Every campaign together. One moves a few GiB, which takes minutes; the rest is for
/// slow disks.
const SOAK_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);

/// Runs the named campaign, or every one; true when all bars were held.
pub(crate) fn run(workspace: &Workspace, campaign: Option<&str>, stop: &Stop) -> Result<bool> {
    let scene = Scene::find(workspace, stop)?;
    let product = scene.toolchain.build(true);
    let binary = workspace.product(true);
    scene.on_ground(Pick::Found, product, &binary, |ground| {
        // On its own: built together, the product would get the features that only
        // tests need.
        let mut build = scene.toolchain.cargo();
        build.args([
            "build",
            "--release",
            "--package",
            "slipway-tests",
            "--bin",
            "soak",
        ]);
        build.current_dir(&workspace.root);
        Group::start(&mut build, "the build of the soak")?.finish(BUILD_LIMIT, stop)?;
        let mut command = Command::new(binary.with_file_name("soak"));
        environ::give(&mut command, &ground.settings);
        match bucket::program(workspace, stop)? {
            Ok(program) => _ = command.env(bucket::VARIABLE, program),
            Err(reason) => say::skipped("the campaigns on the S3 store", reason),
        }
        command
            .env("SLIPWAY_SOAK_DIR", workspace.target.join("soak"))
            .args(campaign)
            .current_dir(&workspace.root);
        let mut soak = Group::start(&mut command, "the soak")?;
        Ok(soak.wait(SOAK_LIMIT, stop)?.success())
    })
}
