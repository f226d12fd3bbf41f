//! What a run works with: the checkout, the tools, somebody who may stop it; and, for as
//! long as a piece of work takes, a build and a Postgres made for that work alone.
//!
//! This is the one place where a throw-away server comes and goes, so every command that
//! tests something does so on the same ground.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::dev::{BUILD_LIMIT, built};
use crate::postgres::{self, Claim, Pick};
use crate::process::Group;
use crate::stop::Stop;
use crate::toolchain::Toolchain;
use crate::workspace::Workspace;

/// The database that tests are told of; the guard insists on the end of its name.
const DATABASE: &str = "slipway_test";

/// What every step of a run may use.
pub(crate) struct Scene<'a> {
    /// The checkout.
    pub(crate) workspace: &'a Workspace,
    /// How to build here.
    pub(crate) toolchain: Toolchain,
    /// Whether to go on.
    pub(crate) stop: &'a Stop,
}

/// What tests stand on.
pub(crate) struct Ground {
    /// The variables that lead them to the server and to the binary.
    pub(crate) settings: [(&'static str, String); 3],
    /// The server's version, as it says it.
    pub(crate) server_version: String,
}

impl<'a> Scene<'a> {
    /// Looks for the tools.
    pub(crate) fn find(workspace: &'a Workspace, stop: &'a Stop) -> Result<Scene<'a>> {
        Ok(Scene {
            workspace,
            toolchain: Toolchain::settle(workspace)?,
            stop,
        })
    }

    /// Does `work` with what `build` makes of `binary`, on a server that is gone again
    /// when this returns. The build and the server come up side by side.
    pub(crate) fn on_ground<T>(
        &self,
        pick: Pick,
        mut build: Command,
        binary: &Path,
        work: impl FnOnce(&Ground) -> Result<T>,
    ) -> Result<T> {
        let mut build = Group::start(build.current_dir(&self.workspace.root), "the build")?;
        // Before the claim: without a server there is nothing to remove.
        let binaries = postgres::find(pick, self.stop)?;
        let claim = Claim::throw_away(&self.workspace.clusters(), self.stop)?;
        let cluster = claim.start(binaries, self.stop)?;
        let ground = Ground {
            settings: [
                ("SLIPWAY_ENV", "test".to_owned()),
                ("TEST_DATABASE_URL", cluster.address(DATABASE)),
                ("SLIPWAY_BIN", binary.display().to_string()),
            ],
            server_version: cluster.version().to_owned(),
        };
        let result = build
            .finish(BUILD_LIMIT, self.stop)
            .and_then(|()| built(binary))
            .and_then(|()| cluster.ensure_database(DATABASE))
            .and_then(|()| work(&ground));
        cluster.remove(self.stop)?;
        result
    }
}
