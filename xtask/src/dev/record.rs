//! What a run of `dev` leaves in its folder for others: who it is and where it listens.
//!
//! Three readers: a second `dev` that finds the lock taken, the next `dev` after a run
//! that was killed, and scripts that wait for the ready file. Secrets are readable by
//! the owner alone; no file ever appears half-written.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::postgres::look;

/// Bytes of the development session secret.
const SECRET_BYTES: usize = 48;
/// Access to files with secrets.
const OWNER_ONLY: u32 = 0o600;

/// A file that exists for as long as the run does.
pub(crate) struct Record(PathBuf);

impl Record {
    /// Writes `content` to `path` in one step.
    pub(crate) fn write(path: &Path, content: &Value) -> Result<Record> {
        let text = format!("{content:#}\n");
        write_private(path, text.as_bytes())?;
        Ok(Record(path.to_owned()))
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// The address a run has noted in `path`, for the message to a second one.
pub(crate) fn address(path: &Path) -> Option<String> {
    let noted: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    Some(noted["url"].as_str()?.to_owned())
}

/// What is noted about a running server.
pub(crate) fn note(url: &str, server: u32) -> Value {
    json!({ "url": url, "server": server })
}

/// The server that a killed run left behind, if the noted process is still that one:
/// our program, working in our folder.
pub(crate) fn leftover(path: &Path, root: &Path) -> Option<u32> {
    let noted: Value = serde_json::from_str(&fs::read_to_string(path).ok()?).ok()?;
    let server = u32::try_from(noted["server"].as_u64()?)
        .ok()
        .filter(|pid| *pid > 1)?;
    let seen = look(server)?;
    let ours = !seen.zombie && seen.name == "slipway" && seen.folder.as_deref() == Some(root);
    ours.then_some(server)
}

/// The session secret of this checkout; made once, so that addresses of unfinished
/// uploads survive a restart.
pub(crate) fn session_secret(path: &Path) -> Result<String> {
    if let Ok(secret) = fs::read_to_string(path)
        && secret.len() == SECRET_BYTES * 2
    {
        return Ok(secret);
    }
    let mut bytes = [0_u8; SECRET_BYTES];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("reading random bytes for the session secret")?;
    let secret: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    write_private(path, secret.as_bytes())?;
    Ok(secret)
}

fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".draft");
    let draft = PathBuf::from(draft);
    // A draft of a killed run may have been made with other access rights.
    let _ = fs::remove_file(&draft);
    File::options()
        .create_new(true)
        .write(true)
        .mode(OWNER_ONLY)
        .open(&draft)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&draft, path))
        .with_context(|| format!("writing {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    use super::{Record, address, leftover, note, session_secret};

    fn place(name: &str) -> std::path::PathBuf {
        std::env::temp_dir().join(format!("slipway-record-{name}-{}", std::process::id()))
    }

    #[test]
    fn a_record_is_private_and_goes_with_its_run() {
        let path = place("run");
        let record = Record::write(&path, &note("http://127.0.0.1:8080", 4711)).unwrap();

        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(address(&path).as_deref(), Some("http://127.0.0.1:8080"));
        drop(record);
        assert_eq!(address(&path), None);
    }

    #[test]
    fn an_innocent_process_is_never_taken_for_a_leftover() {
        let path = place("leftover");
        for pid in [std::process::id(), 0, 1, u32::MAX] {
            let _record = Record::write(&path, &note("http://127.0.0.1:8080", pid)).unwrap();
            assert_eq!(leftover(&path, Path::new("/")), None, "{pid}");
        }
    }

    #[test]
    fn the_session_secret_is_made_once() {
        let path = place("secret");
        let first = session_secret(&path).unwrap();

        assert_eq!(first.len(), 96);
        assert_eq!(session_secret(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::remove_file(&path).unwrap();
    }
}
