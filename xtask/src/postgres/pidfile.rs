//! What `postmaster.pid` is worth: the file outlives crashes, and numbers are reused.
//!
//! Postgres trusts the file more than we do. A number that now belongs to another
//! process of the same user keeps the server from starting, and `pg_ctl stop` would
//! signal that innocent process. This decides; it signals and removes nothing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::process::output;

/// The lines of the file that matter.
#[derive(Debug, PartialEq)]
pub(crate) struct PidFile {
    pid: u32,
    data: PathBuf,
}

/// What can be seen of a process from outside.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The program's name.
    pub(crate) name: String,
    /// Dead, but not yet collected by its parent.
    pub(crate) zombie: bool,
    /// Its current folder, where the system tells.
    pub(crate) folder: Option<PathBuf>,
}

/// What the file says about the data directory it lies in.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    /// No server claims the directory.
    Free,
    /// The process is gone; Postgres finds that out by itself, and in doing so checks
    /// that no orphan of the old server still has the directory open.
    Dead,
    /// The number belongs to somebody else or to a corpse: the file has to go.
    Misleading,
    /// A live server with this process id.
    Running(u32),
}

/// Judges the pid file in `data`.
pub(crate) fn judge(data: &Path) -> Verdict {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return Verdict::Free;
    };
    match parse(&text) {
        Some(file) => verdict(&file, data, look(file.pid).as_ref()),
        // Half a file: the server died while it wrote it.
        None => Verdict::Misleading,
    }
}

fn parse(text: &str) -> Option<PidFile> {
    let mut lines = text.lines();
    let pid = lines.next()?.trim().parse().ok().filter(|pid| *pid > 1)?;
    let data = lines.next().filter(|line| !line.is_empty())?;
    Some(PidFile {
        pid,
        data: PathBuf::from(data),
    })
}

fn verdict(file: &PidFile, data: &Path, seen: Option<&Seen>) -> Verdict {
    let Some(seen) = seen else {
        return Verdict::Dead;
    };
    // A server's current folder is its data directory; that tells it from another
    // cluster's server which was given the same number.
    let here = seen.folder.as_deref().is_none_or(|folder| folder == data);
    if seen.zombie || seen.name != "postgres" || file.data != data || !here {
        return Verdict::Misleading;
    }
    Verdict::Running(file.pid)
}

/// Looks at a process; `None` if there is none.
pub(crate) fn look(pid: u32) -> Option<Seen> {
    if Path::new("/proc/self/stat").exists() {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let (name, state) = name_and_state(&stat)?;
        // Unreadable means another user's: an empty path, which is nobody's folder.
        let folder = fs::read_link(format!("/proc/{pid}/cwd")).unwrap_or_default();
        return Some(Seen {
            name,
            zombie: state == 'Z',
            folder: Some(folder),
        });
    }
    let pid = pid.to_string();
    let line = output(Command::new("ps").args(["-o", "stat=,comm=", "-p", &pid])).ok()?;
    let (state, path) = line.trim().split_once(char::is_whitespace)?;
    let name = Path::new(path.trim())
        .file_name()?
        .to_string_lossy()
        .into_owned();
    Some(Seen {
        name,
        zombie: state.starts_with('Z'),
        folder: None,
    })
}

/// `12 (name) S ...`; the name may hold spaces and brackets of its own.
fn name_and_state(stat: &str) -> Option<(String, char)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    Some((name.to_owned(), tail.trim_start().chars().next()?))
}

/// Processes whose current folder is `data`: the server and its children, also those
/// that outlive it for a moment. Empty where the system does not tell.
pub(crate) fn inhabitants(data: &Path) -> Vec<u32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter(|pid: &u32| fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|at| at == data))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use super::{PidFile, Seen, Verdict, look, name_and_state, parse, verdict};

    const DATA: &str = "/checkout/target/postgres/dev/pg15/data";

    fn judged(recorded: &str, seen: Option<Seen>) -> Verdict {
        let file = PidFile {
            pid: 4711,
            data: PathBuf::from(recorded),
        };
        verdict(&file, Path::new(DATA), seen.as_ref())
    }

    fn process(name: &str, folder: &str) -> Seen {
        Seen {
            name: name.to_owned(),
            zombie: false,
            folder: Some(PathBuf::from(folder)),
        }
    }

    #[test]
    fn the_two_lines_that_matter_are_read() {
        let text = "4711\n/checkout/target/postgres/dev/pg15/data\n1700000000\n5432\n/tmp/slw\n";
        assert_eq!(
            parse(text),
            Some(PidFile {
                pid: 4711,
                data: PathBuf::from(DATA)
            })
        );
        for broken in [
            "",
            "4711",
            "4711\n",
            "-4711\n/data",
            "0\n/data",
            "1\n/data",
            "x\n/data",
        ] {
            assert_eq!(parse(broken), None, "{broken:?}");
        }
    }

    #[test]
    fn only_a_live_postgres_in_this_very_folder_is_believed() {
        assert_eq!(
            judged(DATA, Some(process("postgres", DATA))),
            Verdict::Running(4711)
        );
        let unseen_folder = Seen {
            folder: None,
            ..process("postgres", DATA)
        };
        assert_eq!(judged(DATA, Some(unseen_folder)), Verdict::Running(4711));
    }

    #[test]
    fn a_reused_number_a_corpse_and_a_moved_checkout_mislead() {
        assert_eq!(
            judged(DATA, Some(process("bash", DATA))),
            Verdict::Misleading
        );
        assert_eq!(
            judged(DATA, Some(process("postgres", "/elsewhere"))),
            Verdict::Misleading
        );
        assert_eq!(
            judged("/elsewhere", Some(process("postgres", DATA))),
            Verdict::Misleading
        );
        let corpse = Seen {
            zombie: true,
            ..process("postgres", DATA)
        };
        assert_eq!(judged(DATA, Some(corpse)), Verdict::Misleading);
    }

    #[test]
    fn a_dead_number_is_left_to_postgres() {
        assert_eq!(judged(DATA, None), Verdict::Dead);
    }

    #[test]
    fn a_name_with_brackets_does_not_confuse() {
        assert_eq!(
            name_and_state("12 (a) b) Z 1 2"),
            Some(("a) b".to_owned(), 'Z'))
        );
        assert_eq!(name_and_state("nonsense"), None);
    }

    #[test]
    fn we_can_see_ourselves() {
        let seen = look(std::process::id()).unwrap();
        assert!(seen.name.starts_with("xtask") && !seen.zombie, "{seen:?}");
    }
}
