//! The product's binary and the environment it is run in.
//!
//! It is run as anybody would run it, through its documented commands and variables.
//! Every variable that could lead it to another database is gone before ours are set.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::environ;
use crate::process::{Group, lines, spelled};
use crate::say;
use crate::stop::Stop;

/// Migrations on an empty database take a second; an account needs one password hash.
const COMMAND_LIMIT: Duration = Duration::from_secs(120);

/// The built binary, ready to be run.
pub(crate) struct Product {
    /// The binary.
    pub(crate) binary: PathBuf,
    /// The folder it is run in; `config/` is found from there.
    pub(crate) root: PathBuf,
    /// Its variables, besides what is inherited.
    pub(crate) settings: Vec<(&'static str, String)>,
    /// Show each command before it is run.
    pub(crate) verbose: bool,
}

impl Product {
    /// Runs a command to its end and returns what it printed on standard output. Its
    /// words are separated by single spaces; none of ours contains one.
    pub(crate) fn run(&self, line: &str, stop: &Stop) -> Result<String> {
        let mut said = Vec::new();
        let name = format!("`slipway {line}`");
        let mut command = self.command(line);
        let status = lines(&mut command, &name, COMMAND_LIMIT, stop, |line| {
            said.push(line.to_owned());
        })?;
        let said = said.join("\n");
        if !status.success() {
            if !said.is_empty() {
                say::note(&said);
            }
            bail!("{name} failed ({status})");
        }
        Ok(said)
    }

    /// Runs a command whose answer is one line and nothing else.
    pub(crate) fn answer(&self, line: &str, stop: &Stop) -> Result<String> {
        let said = self.run(line, stop)?;
        single_line(&said)
            .map(str::to_owned)
            .with_context(|| format!("`slipway {line}` should print one line, it printed {said:?}"))
    }

    /// Starts the server on `port`, its output on ours.
    pub(crate) fn serve(&self, port: u16) -> Result<Group> {
        let mut command = self.command("serve");
        command.env("PORT", port.to_string());
        Group::start(&mut command, "slipway serve")
    }

    fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(line.split(' ')).current_dir(&self.root);
        environ::give(&mut command, &self.settings);
        if self.verbose {
            say::note(format_args!("$ {}", spelled(&command)));
        }
        command
    }
}

/// The only line of `text`, if it has exactly one.
fn single_line(text: &str) -> Option<&str> {
    let text = text.trim();
    (!text.is_empty() && !text.contains('\n')).then_some(text)
}

/// An error that says so if `binary` is not there.
pub(crate) fn built(binary: &Path) -> Result<()> {
    if binary.is_file() {
        return Ok(());
    }
    bail!(
        "the build left no {}, is `build.target` set in a cargo configuration?",
        binary.display()
    )
}

#[cfg(test)]
mod tests {
    use super::single_line;

    #[test]
    fn an_answer_is_one_line() {
        assert_eq!(
            single_line("/sign-in?link=abc\n"),
            Some("/sign-in?link=abc")
        );
        assert_eq!(single_line("\n"), None);
        assert_eq!(single_line("warning\n/sign-in?link=abc"), None);
    }
}
