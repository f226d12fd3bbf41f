//! Where things are: the checkout, its build folder, its crates, the cache.
//!
//! Cargo is asked rather than guessed at, so `CARGO_TARGET_DIR` and a build folder set
//! in a configuration file are respected. Nothing outside these places is written,
//! except sockets, which need a short path (see `postgres::folders`).

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use serde_json::Value;

use crate::environ;
use crate::process;

/// The checkout that xtask works on.
pub(crate) struct Workspace {
    /// The folder of the root manifest.
    pub(crate) root: PathBuf,
    /// Cargo's build folder.
    pub(crate) target: PathBuf,
    /// What `cargo metadata` says about our own packages.
    pub(crate) metadata: Value,
}

impl Workspace {
    /// Asks cargo for the workspace around the current folder.
    pub(crate) fn find() -> Result<Workspace> {
        let mut command = cargo();
        command.args(["metadata", "--no-deps", "--format-version", "1"]);
        let text = process::output(&mut command)?;
        let metadata: Value = serde_json::from_str(&text).context("reading cargo's metadata")?;
        let folder = |key: &str| -> Result<PathBuf> {
            metadata[key]
                .as_str()
                .map(PathBuf::from)
                .ok_or_else(|| anyhow!("cargo's metadata has no {key}, update cargo"))
        };
        Ok(Workspace {
            root: folder("workspace_root")?,
            target: folder("target_directory")?,
            metadata,
        })
    }

    /// Where the private clusters of this checkout live.
    pub(crate) fn clusters(&self) -> PathBuf {
        self.target.join("postgres")
    }

    /// The product's binary as `cargo build` leaves it.
    pub(crate) fn product(&self, release: bool) -> PathBuf {
        self.target
            .join(if release { "release" } else { "debug" })
            .join("slipway")
    }

    /// `path` as seen from the root, for messages.
    pub(crate) fn shown(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .display()
            .to_string()
    }
}

/// The cargo that runs us, or the one on the search path.
pub(crate) fn cargo() -> Command {
    Command::new(
        environ::get("CARGO")
            .as_deref()
            .unwrap_or_else(|| OsStr::new("cargo")),
    )
}

/// Where downloads are kept between checkouts, if this user has such a place.
pub(crate) fn cache() -> Option<PathBuf> {
    environ::get("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| environ::get("HOME").map(|home| Path::new(&home).join(".cache")))
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("slipway"))
}

/// Eight hex digits that stand for a path: FNV-1a, because the result names folders
/// that a later build of xtask must find again and the standard hasher may change.
pub(crate) fn tag(path: &Path) -> String {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    let hash = path
        .as_os_str()
        .as_encoded_bytes()
        .iter()
        .fold(BASIS, |hash, byte| {
            (hash ^ u32::from(*byte)).wrapping_mul(PRIME)
        });
    format!("{hash:08x}")
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::tag;

    #[test]
    fn a_tag_is_the_published_fnv_1a_value() {
        assert_eq!(tag(Path::new("")), "811c9dc5");
        assert_eq!(tag(Path::new("a")), "e40c292c");
        assert_eq!(tag(Path::new("foobar")), "bf9cf968");
    }
}
