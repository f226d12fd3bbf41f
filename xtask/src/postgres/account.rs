//! Who runs Postgres' programs: they refuse to work as root, even to print a status.
//!
//! Root is common (containers, CI), so it is handled instead of refused: first by a user
//! namespace, in which root's files stay root's, else by handing the server to another
//! user. No shell, no `sudo`, nothing to set up beforehand.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{output, works};

/// Enters a namespace in which we are `nobody`; the numbers are nobody's on Linux.
const AS_NOBODY: [&str; 4] = ["unshare", "--user", "--map-user=65534", "--map-group=65534"];
/// Users to whom root may hand the server, the fittest first.
const STAND_INS: [&str; 2] = ["postgres", "nobody"];

/// Under which identity the server's programs run.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Account {
    /// As whoever runs xtask.
    Ourselves,
    /// As ourselves on disk, as `nobody` to the programs.
    Namespace,
    /// As another user, because namespaces are closed here.
    StandIn {
        /// User id.
        uid: u32,
        /// Group id.
        gid: u32,
    },
}

impl Account {
    /// Chooses for this machine and user.
    pub(crate) fn choose() -> Result<Account> {
        let root = own_uid()? == 0;
        // `initdb` insists on a name for its user, which a container may not have.
        if !root && works(Command::new("id").arg("-un")) {
            return Ok(Account::Ourselves);
        }
        let [program, flags @ ..] = AS_NOBODY;
        if works(Command::new(program).args(flags).args(["id", "-un"])) {
            return Ok(Account::Namespace);
        }
        if !root {
            bail!(
                "this user id has no name on this machine and user namespaces are closed, \
                 Postgres cannot run like that: add the user to /etc/passwd"
            );
        }
        for name in STAND_INS {
            if let (Ok(uid), Ok(gid)) = (id(&["-u", name]), id(&["-g", name])) {
                return Ok(Account::StandIn { uid, gid });
            }
        }
        bail!(
            "Postgres does not run as root, user namespaces are closed and there is neither \
             a user `postgres` nor `nobody`: run this as an ordinary user"
        )
    }

    /// A command for one of the server's programs, with an empty environment: a locale
    /// that is not installed or a stray `PG` variable would break it.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = match self {
            Account::Namespace => {
                let [unshare, flags @ ..] = AS_NOBODY;
                let mut command = Command::new(unshare);
                command.args(flags).arg(program);
                command
            }
            Account::Ourselves | Account::StandIn { .. } => Command::new(program),
        };
        if let Account::StandIn { uid, gid } = self {
            command.uid(*uid).gid(*gid);
        }
        command
            .env_clear()
            .envs([("LC_ALL", "C"), ("TZ", "UTC"), ("PATH", "/usr/bin:/bin")])
            .current_dir("/");
        command
    }

    /// Owner and group of the server's folders where they are not ours.
    pub(crate) fn stand_in(&self) -> Option<(u32, u32)> {
        match self {
            Account::StandIn { uid, gid } => Some((*uid, *gid)),
            Account::Ourselves | Account::Namespace => None,
        }
    }
}

/// Our own user id.
pub(crate) fn own_uid() -> Result<u32> {
    id(&["-u"])
}

fn id(words: &[&str]) -> Result<u32> {
    let text = output(Command::new("id").args(words))?;
    text.trim()
        .parse()
        .with_context(|| format!("`id {}` printed no number", words.join(" ")))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::Account;
    use crate::process::spelled;

    #[test]
    fn only_the_namespace_wraps_the_program() {
        let program = Path::new("/usr/bin/initdb");
        assert_eq!(
            spelled(&Account::Ourselves.command(program)),
            "/usr/bin/initdb"
        );
        assert_eq!(
            spelled(&Account::Namespace.command(program)),
            "unshare --user --map-user=65534 --map-group=65534 /usr/bin/initdb"
        );
    }

    #[test]
    fn the_programs_see_a_clean_environment() {
        let command = Account::Ourselves.command(Path::new("/usr/bin/initdb"));
        let names: Vec<_> = command
            .get_envs()
            .map(|(name, _)| name.to_owned())
            .collect();
        assert_eq!(names, ["LC_ALL", "PATH", "TZ"]);
    }
}
