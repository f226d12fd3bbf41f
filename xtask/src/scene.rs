//! What a run works with: the checkout, the tools, somebody who may stop it; and, for as
//! long as a piece of work takes, a build and a Postgres made for that work alone.
//!
//! This is the one place where a throw-away server comes and goes, so every command that
//! tests something does so on the same ground.

use std::path::Path;
use std::process::Command;

use anyhow::Result;

use crate::dev::{BUILD_LIMIT, built};
use crate::postgres::{self, Binaries, Claim, Cluster, Door, Durability, Pick};
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
    durability: Durability,
}

/// What tests stand on.
pub(crate) struct Ground {
    /// The variables that lead them to the server and to the binary.
    pub(crate) settings: Vec<(&'static str, String)>,
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
            durability: Durability::None,
        })
    }

    /// The same with servers as they come, on which speed can be measured.
    pub(crate) fn durable(self) -> Self {
        Self {
            durability: Durability::Full,
            ..self
        }
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
        let servers = Servers::start(binaries, self)?;
        let mut settings = servers.settings();
        settings.push(("SLIPWAY_BIN", binary.display().to_string()));
        let ground = Ground {
            settings,
            server_version: servers.one.version().to_owned(),
        };
        let result = build
            .finish(BUILD_LIMIT, self.stop)
            .and_then(|()| built(binary))
            .and_then(|()| servers.one.ensure_database(DATABASE))
            .and_then(|()| servers.other.ensure_database(DATABASE))
            .and_then(|()| work(&ground));
        servers.remove(self.stop)?;
        result
    }
}

/// The server that tests use, and one that it could be mistaken for.
struct Servers {
    one: Cluster,
    other: Cluster,
}

impl Servers {
    fn start(binaries: Binaries, scene: &Scene<'_>) -> Result<Servers> {
        let (first, second) = Door::pair().unzip();
        let (clusters, stop) = (scene.workspace.clusters(), scene.stop);
        let claim = |which, door| {
            let claim = Claim::throw_away(&clusters, which, stop)?;
            anyhow::Ok(claim.with_door(door).with_durability(scene.durability))
        };
        let (one, other) = (claim("", first)?, claim("-other", second)?);
        Ok(Servers {
            one: one.start(binaries.clone(), stop)?,
            other: other.start(binaries, stop)?,
        })
    }

    /// What leads tests to them. Without doors there is nothing to mistake, and those
    /// tests say that they are skipped.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let mut settings = vec![
            ("SLIPWAY_ENV", "test".to_owned()),
            ("TEST_DATABASE_URL", self.one.address(DATABASE)),
            ("TEST_OTHER_DATABASE_URL", self.other.address(DATABASE)),
            ("SLIPWAY_PG_LOG", self.one.log().display().to_string()),
            ("TEST_OTHER_LOG", self.other.log().display().to_string()),
        ];
        let doors = [
            ("TEST_DOOR_URL", self.one.address_by_door(DATABASE)),
            ("TEST_OTHER_DOOR_URL", self.other.address_by_door(DATABASE)),
            (
                "TEST_OTHER_CERTIFICATE",
                self.other
                    .certificate()
                    .map(|file| file.display().to_string()),
            ),
        ];
        let there = doors.into_iter();
        settings.extend(there.filter_map(|(name, value)| Some((name, value?))));
        settings
    }

    fn remove(self, stop: &Stop) -> Result<()> {
        let one = self.one.remove(stop);
        self.other.remove(stop).and(one)
    }
}
