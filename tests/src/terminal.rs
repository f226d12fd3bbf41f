//! A terminal for commands that want a person.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result};

use crate::server::{binary, workspace};

/// The program that makes terminals; part of every Linux.
const SCRIPT: &str = "/usr/bin/script";

/// Runs `slipway` at a terminal at which somebody types; `None` where none can be made.
///
/// # Errors
/// When there is no binary.
pub fn interactively(
    arguments: &[&str],
    environment: &[(&str, &str)],
    typed: &str,
) -> Result<Option<Output>> {
    if !Path::new(SCRIPT).exists() {
        return Ok(None);
    }
    let binary = binary()?;
    let line = format!("{} {}", binary.display(), arguments.join(" "));
    let mut child = Command::new(SCRIPT)
        .args(["--quiet", "--return", "--command", &line, "/dev/null"])
        .current_dir(workspace())
        .env_clear()
        .envs([
            ("PATH", "/usr/bin:/bin"),
            ("SHELL", "/bin/sh"),
            ("TERM", "dumb"),
        ])
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let mut stdin = child.stdin.take().context("no standard input")?;
    stdin.write_all(typed.as_bytes())?;
    drop(stdin);
    Ok(Some(child.wait_with_output()?))
}
