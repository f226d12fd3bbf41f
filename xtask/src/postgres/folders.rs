//! The folders of a private cluster: whose they are, where they are, how they go away.
//!
//! State lives in cargo's build folder. Two things cannot: the socket, whose path the
//! kernel limits to 107 bytes, and the data of a stand-in user, who may not be able to
//! enter the build folder at all. Both get a folder of their own, 0700, under a name
//! made from the path of the state. Nothing is ever removed outside these three places.

use std::fs::{self, DirBuilder, File, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::account::{Account, own_uid};
use crate::workspace::tag;

/// Access for the owner alone; authentication rests on it (see `cluster`).
const PRIVATE: u32 = 0o700;
/// Permission bits of a mode.
const BITS: u32 = 0o777;

/// Where one cluster keeps its things, and the lock that makes it ours.
pub(crate) struct Folders {
    /// State and lock; always ours.
    pub(crate) home: PathBuf,
    /// Data directories, one per major version, and logs.
    pub(crate) state: PathBuf,
    /// The server's socket.
    pub(crate) socket: PathBuf,
    account: Account,
    // Held for as long as the cluster is in use; the kernel lets go when we die.
    _lock: File,
}

impl Folders {
    /// Creates what is missing under `home`; `None` if another run uses it.
    pub(crate) fn claim(home: &Path, account: &Account) -> Result<Option<Folders>> {
        fs::create_dir_all(home).with_context(|| format!("creating {}", home.display()))?;
        let home = home.canonicalize()?;
        let Some(lock) = lock(&home)? else {
            return Ok(None);
        };
        let uid = own_uid()?;
        let name = tag(&home);
        let state = match account {
            Account::StandIn { .. } => PathBuf::from(format!("/var/tmp/slipway-{uid}-{name}")),
            Account::Ourselves | Account::Namespace => home.clone(),
        };
        let socket = PathBuf::from(format!("/tmp/slw-{uid}-{name}"));
        let folders = Folders {
            home,
            state,
            socket,
            account: account.clone(),
            _lock: lock,
        };
        if folders.state != folders.home {
            private(&folders.state, account, uid)?;
        }
        private(&folders.socket, account, uid)?;
        Ok(Some(folders))
    }

    /// Creates a folder for the server inside the state.
    pub(crate) fn create(&self, name: &str) -> Result<PathBuf> {
        let folder = self.state.join(name);
        private(&folder, &self.account, own_uid()?)?;
        Ok(folder)
    }

    /// Removes everything; the lock goes with the rest, last of all.
    pub(crate) fn remove(self) -> Result<()> {
        for folder in [&self.socket, &self.state, &self.home] {
            match fs::remove_dir_all(folder) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).with_context(|| format!("removing {}", folder.display()));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        // Kept only while somebody uses it: the socket of a live server is in there.
        let _ = fs::remove_dir(&self.socket);
    }
}

/// Waits until this run alone works on the list of folders in `parent`, which is
/// created if need be; others wait for the moment that a sweep takes.
pub(crate) fn exclusively(parent: &Path) -> Result<File> {
    fs::create_dir_all(parent).with_context(|| format!("creating {}", parent.display()))?;
    let file = lock_file(parent)?;
    file.lock()
        .with_context(|| format!("locking {}", parent.display()))?;
    Ok(file)
}

/// Takes the lock of `home`; `None` if somebody has it.
fn lock(home: &Path) -> Result<Option<File>> {
    let file = lock_file(home)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", home.display()))
        }
    }
}

fn lock_file(folder: &Path) -> Result<File> {
    let path = folder.join("lock");
    File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .with_context(|| format!("opening {}", path.display()))
}

/// Creates a folder that only the server's user can enter, or checks that it is one:
/// `/tmp` is everybody's, and somebody may have been there first.
fn private(folder: &Path, account: &Account, own: u32) -> Result<()> {
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Ok(()) => {
            if let Some((uid, gid)) = account.stand_in() {
                chown(folder, Some(uid), Some(gid))
                    .with_context(|| format!("handing {} to user {uid}", folder.display()))?;
            }
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => {
            return Err(error).with_context(|| format!("creating {}", folder.display()));
        }
    }
    let found = fs::symlink_metadata(folder)?;
    let owner = account.stand_in().map_or(own, |(uid, _)| uid);
    if !found.is_dir() || found.uid() != owner {
        bail!(
            "{} belongs to somebody else, remove it or ask them to",
            folder.display()
        );
    }
    let mode = found.mode() & BITS;
    ensure!(
        mode == PRIVATE,
        "{} has mode {mode:o}, others could reach the server: `chmod 700` it",
        folder.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::{Folders, own_uid, private};
    use crate::postgres::account::Account;

    fn place(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("slipway-folders-{name}-{}", std::process::id()))
    }

    #[test]
    fn one_run_at_a_time_and_nothing_left_behind() {
        let home = place("claim");
        let first = Folders::claim(&home, &Account::Ourselves).unwrap().unwrap();
        let socket = first.socket.clone();
        assert!(socket.join(".s.PGSQL.5432").as_os_str().len() < 107);

        assert!(
            Folders::claim(&home, &Account::Ourselves)
                .unwrap()
                .is_none()
        );
        first.remove().unwrap();

        assert!(!home.exists() && !socket.exists());
    }

    #[test]
    fn a_folder_that_others_can_enter_is_refused() {
        let folder = place("open");
        fs::create_dir_all(&folder).unwrap();
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();

        let refused = private(&folder, &Account::Ourselves, own_uid().unwrap());

        assert!(refused.unwrap_err().to_string().contains("mode 755"));
        fs::remove_dir(&folder).unwrap();
    }
}
