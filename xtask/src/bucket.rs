//! A program that speaks S3, for the tests of that store: `moto`, from PyPI, in a
//! virtual environment under `target/`.
//!
//! It is a tool of tests and nothing else, so a machine without Python goes without and
//! says so. Versions are pinned; nothing is installed outside `target/`.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::Result;

use crate::process::{Group, works};
use crate::say;
use crate::stop::{Stop, Stopped};
use crate::workspace::Workspace;

/// The variable by which tests are told of the program.
pub(crate) const VARIABLE: &str = "SLIPWAY_S3_SERVER";

/// The server, and what it needs to serve.
const PACKAGES: [&str; 3] = ["moto[s3]==5.2.5", "flask==3.1.3", "flask-cors==6.0.5"];

/// Some thirty packages, 140 MB unpacked: half a minute on a fast line.
const INSTALL_LIMIT: Duration = Duration::from_secs(300);

/// The program, installed first if it is not there; `Err` says why it cannot be had.
pub(crate) fn program(workspace: &Workspace, stop: &Stop) -> Result<Result<PathBuf, String>> {
    let folder = workspace.target.join("s3-server");
    let program = folder.join("bin/moto_server");
    // Set last: an installation without it was not finished.
    let mark = folder.join("complete");
    if mark.is_file() {
        return Ok(Ok(program));
    }
    if !works(Command::new("python3").args(["-m", "venv", "--help"])) {
        return Ok(Err("python3 with venv is not installed".to_owned()));
    }
    say::step("s3 server", format_args!("installing {}", PACKAGES[0]));
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    let mut make = Command::new("python3");
    make.args(["-m", "venv"]).arg(&folder);
    let mut install = Command::new(folder.join("bin/python3"));
    install
        .args(["-m", "pip", "install", "--quiet"])
        .arg("--disable-pip-version-check")
        .args(PACKAGES);
    for command in [&mut make, &mut install] {
        command.stdout(Stdio::null());
        let ended = Group::start(command, "the installation of moto")
            .and_then(|mut group| group.finish(INSTALL_LIMIT, stop));
        match ended {
            Err(error) if error.is::<Stopped>() => return Err(error),
            Err(error) => return Ok(Err(format!("moto cannot be installed: {error:#}"))),
            Ok(()) => {}
        }
    }
    fs::write(mark, "")?;
    Ok(Ok(program))
}
