//! Can this machine build Slipway, and with whose OpenSSL?
//!
//! Asked before every build, because without the answer the news would come from a
//! linker two minutes in. The choice is kept in `.cargo/local.toml`, where plain cargo
//! and editors read it too: they would otherwise rebuild the database crates in turns
//! with us. Nothing is ever installed here.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::environ;
use crate::process::works;
use crate::say;
use crate::workspace::{self, Workspace};

/// What `.cargo/local.toml` holds where the system's OpenSSL is used.
const SYSTEM_OPENSSL: &str = "[env]\nOPENSSL_NO_VENDOR = \"1\"\n";

/// Where OpenSSL comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
enum OpenSsl {
    /// Headers and libraries of the machine.
    System,
    /// Built from source by cargo.
    Vendored,
}

/// Tools that were looked for, and how builds are to be run with them.
pub(crate) struct Toolchain {
    openssl: OpenSsl,
}

impl Toolchain {
    /// Looks for the tools and writes the choice down.
    pub(crate) fn settle(workspace: &Workspace) -> Result<Toolchain> {
        if !works(Command::new("cc").arg("--version")) {
            bail!(
                "no C compiler (`cc`) on this machine, install one: \
                 `apt-get install build-essential`, `dnf install gcc make perl`, `xcode-select --install`"
            );
        }
        let openssl = choose(has_system_openssl(), can_build_openssl())?;
        write_choice(&workspace.root.join(".cargo/local.toml"), openssl)?;
        if openssl == OpenSsl::Vendored {
            say::step(
                "openssl",
                "no headers found, built from source: the first build takes longer",
            );
        }
        Ok(Toolchain { openssl })
    }

    /// A cargo command that builds as decided.
    pub(crate) fn cargo(&self) -> Command {
        let mut command = workspace::cargo();
        command.env_clear().envs(environ::without_databases());
        if self.openssl == OpenSsl::Vendored {
            // Cargo handed us the value of an earlier choice when it started us.
            command.env_remove("OPENSSL_NO_VENDOR");
        }
        command
    }

    /// The command that builds the product.
    pub(crate) fn build(&self, release: bool) -> Command {
        let mut command = self.cargo();
        command.args(["build", "--package", "slipway"]);
        if release {
            command.arg("--release");
        }
        command
    }
}

fn has_system_openssl() -> bool {
    // OPENSSL_DIR is how somebody says where theirs is; it counts only without vendoring.
    environ::get("OPENSSL_DIR").is_some()
        || works(Command::new("pkg-config").args(["--exists", "openssl >= 3"]))
}

fn can_build_openssl() -> bool {
    works(Command::new("make").arg("--version"))
        && works(Command::new("perl").args(["-MFindBin", "-e1"]))
}

fn choose(system: bool, buildable: bool) -> Result<OpenSsl> {
    match (system, buildable) {
        (true, _) => Ok(OpenSsl::System),
        (false, true) => Ok(OpenSsl::Vendored),
        (false, false) => bail!(
            "neither OpenSSL's headers (version 3 or later, found by pkg-config) nor make and a full perl \
             to build it with, install one of them: `apt-get install pkg-config libssl-dev`, \
             `apt-get install build-essential`, `dnf install openssl-devel`, `brew install openssl@3 pkg-config`"
        ),
    }
}

/// Makes the file say `choice`. Cargo rebuilds when the file is touched, so one that is
/// right already is left alone.
fn write_choice(file: &Path, choice: OpenSsl) -> Result<()> {
    let before = fs::read_to_string(file).ok();
    let after = (choice == OpenSsl::System).then_some(SYSTEM_OPENSSL);
    if before.as_deref() == after {
        return Ok(());
    }
    match after {
        Some(text) => fs::write(file, text),
        None => fs::remove_file(file),
    }
    .with_context(|| format!("recording the choice of OpenSSL in {}", file.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{OpenSsl, choose, write_choice};
    use crate::workspace::tag;

    #[test]
    fn the_system_comes_first_and_nothing_at_all_is_an_error() {
        assert_eq!(choose(true, true).unwrap(), OpenSsl::System);
        assert_eq!(choose(true, false).unwrap(), OpenSsl::System);
        assert_eq!(choose(false, true).unwrap(), OpenSsl::Vendored);
        assert!(
            choose(false, false)
                .unwrap_err()
                .to_string()
                .contains("libssl-dev")
        );
    }

    #[test]
    fn the_file_is_written_only_when_the_choice_changes() {
        let here = std::env::current_exe().unwrap();
        let file = std::env::temp_dir().join(format!("slipway-choice-{}", tag(&here)));
        let _ = fs::remove_file(&file);

        write_choice(&file, OpenSsl::System).unwrap();
        let written = fs::metadata(&file).unwrap().modified().unwrap();
        write_choice(&file, OpenSsl::System).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().modified().unwrap(), written);

        write_choice(&file, OpenSsl::Vendored).unwrap();
        write_choice(&file, OpenSsl::Vendored).unwrap();
        assert!(!file.exists());
    }
}
