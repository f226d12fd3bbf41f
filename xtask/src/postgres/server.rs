//! One server process: how it is started, known to be up, and stopped.
//!
//! `postgres` is started as a child of ours, without `pg_ctl`: the process id is then a
//! fact and not the content of a file. A server counts as up when it answers a question,
//! never because a file or a status says so. Settings are given on the command line, so
//! that a change of them here reaches data directories made long ago.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::account::Account;
use super::binaries::Binaries;
use super::door::Door;
use super::pidfile::{Verdict, judge};
use super::wire::{Connection, USER};
use crate::process::{Group, Signal, send};
use crate::stop::{GLANCE, Stop, Stopped};

/// Starting takes 0.2 s; recovery after a crash may replay a gigabyte first.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A server left behind by an earlier run answers at once or not at all.
const ADOPT_LIMIT: Duration = Duration::from_secs(10);
/// `initdb` takes about a second on a quiet machine.
const INIT_LIMIT: Duration = Duration::from_secs(120);
/// A fast stop takes 0.1 s; it writes what is in memory (64 MB) first.
const STOP_LIMIT: Duration = Duration::from_secs(15);
/// How long children may take to notice that they have to go at once.
const QUIT_LIMIT: Duration = Duration::from_secs(5);
/// Lines of the server's log that a failure shows.
const TAIL_LINES: usize = 20;

/// What private servers run with. Nothing here survives a power cut, by choice: `fsync`
/// costs seconds per test database and guards data that nobody will miss.
const SETTINGS: [(&str, &str); 15] = [
    ("listen_addresses", ""),
    ("port", "5432"),
    ("fsync", "off"),
    ("synchronous_commit", "off"),
    ("full_page_writes", "off"),
    ("wal_level", "minimal"),
    ("max_wal_senders", "0"),
    ("shared_buffers", "64MB"),
    ("max_connections", "100"),
    // Containers often give /dev/shm 64 MB, or leave it out.
    ("dynamic_shared_memory_type", "mmap"),
    // Its compiler library is missing from unpacked packages.
    ("jit", "off"),
    ("autovacuum", "on"),
    ("timezone", "UTC"),
    ("log_min_duration_statement", "200"),
    // Tests of the guard read what was sent to which database.
    ("log_line_prefix", "%m [%p] %d %a "),
];

/// Those of them that a server does without when a power cut must cost nothing: then
/// Postgres' own defaults hold.
const CARELESS: [&str; 6] = [
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "wal_level",
    "max_wal_senders",
    "shared_buffers",
];

/// Whether a server keeps its word to those who use it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Durability {
    /// What it acknowledges may be gone after a power cut; fast.
    None,
    /// As it comes: for measuring.
    Full,
}

/// What the log says when remains of an earlier server are still in the way; they go
/// by themselves within a second or so.
const HELD: [&str; 2] = [
    "lock file \"postmaster.pid\" already exists",
    "pre-existing shared memory block",
];
/// What the log says when the files themselves cannot be used any more.
const DAMAGED: [&str; 7] = [
    "PANIC:",
    "could not locate a valid checkpoint record",
    "incorrect checksum in control file",
    "database files are incompatible with server",
    "invalid checkpoint",
    "is not a valid data directory",
    "could not open file \"global/pg_control\"",
];

/// Everything needed to start the server of one data directory.
pub(crate) struct Site {
    /// The programs.
    pub(crate) binaries: Binaries,
    /// Who runs them.
    pub(crate) account: Account,
    /// The data directory; may not exist yet.
    pub(crate) data: PathBuf,
    /// The folder of the socket.
    pub(crate) socket: PathBuf,
    /// Where the server's words go.
    pub(crate) log: PathBuf,
    /// The way in besides the socket.
    pub(crate) door: Option<Door>,
    /// What it promises.
    pub(crate) durability: Durability,
}

/// How an attempt to start went; failures carry the end of the log.
pub(crate) enum Launch {
    /// It answers.
    Up(Server),
    /// Remains of an earlier server are in the way.
    Held(String),
    /// The files cannot be used.
    Damaged(String),
    /// Something else.
    Failed(String),
}

/// How to stop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Pace {
    /// Close connections, write everything down.
    Fast,
    /// Drop everything: the data directory is thrown away anyway.
    Immediate,
}

/// A running server; stopped when dropped.
pub(crate) struct Server {
    pid: u32,
    // Absent for a server that an earlier run left behind.
    child: Option<Group>,
    data: PathBuf,
    stopped: bool,
}

impl Site {
    /// Makes the data directory; it has its name only once it is complete.
    pub(crate) fn initialise(&self, stop: &Stop) -> Result<()> {
        let draft = self.data.with_extension("draft");
        if draft.exists() {
            fs::remove_dir_all(&draft).with_context(|| format!("removing {}", draft.display()))?;
        }
        let log = File::create(&self.log)?;
        let mut command = self.binaries.command(&self.account, "initdb");
        command.args(["--no-sync", "--username", USER]);
        command.args(["--auth-local", "trust", "--auth-host", "scram-sha-256"]);
        command
            .args(["--encoding", "UTF8", "--locale", "C", "--pgdata"])
            .arg(&draft);
        command.stdout(log.try_clone()?).stderr(log);
        match Group::start(&mut command, "initdb")?.finish(INIT_LIMIT, stop) {
            Err(error) if !error.is::<Stopped>() => bail!("{error:#}; {}", tail(&self.log)),
            result => result?,
        }
        fs::rename(&draft, &self.data).with_context(|| format!("making {}", self.data.display()))
    }

    /// Starts the server and waits until it answers.
    pub(crate) fn launch(&self, stop: &Stop) -> Result<Launch> {
        // Only this cluster uses the folder and no server of it runs: what lies there
        // is from a crash, and the number in the lock may be somebody else's by now.
        for name in [".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
            let _ = fs::remove_file(self.socket.join(name));
        }
        let log = File::create(&self.log)?;
        let mut command = self.binaries.command(&self.account, "postgres");
        command.arg("-D").arg(&self.data);
        let careful = self.durability == Durability::Full;
        for (name, value) in SETTINGS {
            if careful && CARELESS.contains(&name) {
                continue;
            }
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
            .arg("-c")
            .arg(format!("unix_socket_directories={}", self.socket.display()));
        if let Some(door) = &self.door {
            let stem = self.certificate();
            let there = stem.with_extension("crt").exists();
            for setting in door.settings(there.then_some(stem.as_path())) {
                command.arg("-c").arg(setting);
            }
        }
        command.stdout(log.try_clone()?).stderr(log);
        let mut child = Group::start(&mut command, "postgres")?;
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if stop.asked() {
                return Err(Stopped.into());
            }
            if child.ended()?.is_some() {
                return Ok(why(tail(&self.log)));
            }
            if self.answers().is_ok() {
                return Ok(Launch::Up(Server::of(child.id(), Some(child), &self.data)));
            }
            thread::sleep(GLANCE);
        }
        Ok(Launch::Failed(tail(&self.log)))
    }

    /// The stem of the files of the certificate.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.data.with_file_name("server")
    }

    /// Takes over the server `pid` that an earlier run left behind, if it answers.
    pub(crate) fn adopt(&self, pid: u32, stop: &Stop) -> Result<Option<Server>> {
        let deadline = Instant::now() + ADOPT_LIMIT;
        let mut server = Server::left_behind(pid, &self.data);
        while Instant::now() < deadline {
            stop.check()?;
            if self.answers().is_ok() {
                return Ok(Some(server));
            }
            if judge(&self.data) != Verdict::Running(pid) {
                return Ok(None);
            }
            thread::sleep(GLANCE);
        }
        // It holds our data directory and is deaf, for instance because its socket was
        // swept out of /tmp: it can only make room.
        server.stop(Pace::Fast, stop);
        Ok(None)
    }

    /// An error unless the server of this very data directory answers.
    fn answers(&self) -> Result<()> {
        let folder = Connection::open(&self.socket, "postgres")?.ask("SHOW data_directory")?;
        ensure!(
            folder
                .first()
                .is_some_and(|folder| Path::new(folder) == self.data),
            "another server answers in {}",
            self.socket.display()
        );
        Ok(())
    }
}

impl Server {
    fn of(pid: u32, child: Option<Group>, data: &Path) -> Server {
        Server {
            pid,
            child,
            data: data.to_owned(),
            stopped: false,
        }
    }

    /// A server that an earlier run started in `data`.
    pub(crate) fn left_behind(pid: u32, data: &Path) -> Server {
        Server::of(pid, None, data)
    }

    /// False once the process is gone.
    pub(crate) fn runs(&mut self) -> bool {
        match &mut self.child {
            Some(child) => matches!(child.ended(), Ok(None)),
            None => judge(&self.data) == Verdict::Running(self.pid),
        }
    }

    /// Stops it, more rudely the longer it takes.
    pub(crate) fn stop(&mut self, pace: Pace, stop: &Stop) {
        self.stopped = true;
        let gentle = (Signal::Int, STOP_LIMIT);
        let rude = [(Signal::Quit, QUIT_LIMIT), (Signal::Kill, QUIT_LIMIT)];
        let gentle = (pace == Pace::Fast && !stop.insisted()).then_some(gentle);
        for (signal, limit) in gentle.into_iter().chain(rude) {
            // Looked at again before each signal: the number must still be the server's.
            if !self.runs() {
                return;
            }
            send(signal, &self.pid.to_string());
            self.gone_within(limit, stop);
        }
    }

    fn gone_within(&mut self, limit: Duration, stop: &Stop) {
        let deadline = Instant::now() + limit;
        while self.runs() && Instant::now() < deadline && !stop.insisted() {
            thread::sleep(GLANCE);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !self.stopped {
            self.stop(Pace::Fast, &Stop::default());
        }
    }
}

fn why(tail: String) -> Launch {
    if HELD.iter().any(|phrase| tail.contains(phrase)) {
        Launch::Held(tail)
    } else if DAMAGED.iter().any(|phrase| tail.contains(phrase)) {
        Launch::Damaged(tail)
    } else {
        Launch::Failed(tail)
    }
}

/// The end of a log, as a block for a message.
fn tail(log: &Path) -> String {
    let text = fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    let text = text.unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines.split_at(lines.len().saturating_sub(TAIL_LINES)).1;
    format!("the last lines of {}:\n{}", log.display(), last.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::{Launch, why};

    fn judged(line: &str) -> &'static str {
        match why(line.to_owned()) {
            Launch::Up(_) => "up",
            Launch::Held(_) => "held",
            Launch::Damaged(_) => "damaged",
            Launch::Failed(_) => "failed",
        }
    }

    #[test]
    fn the_log_tells_what_can_be_waited_for_and_what_cannot() {
        assert_eq!(
            judged("FATAL:  lock file \"postmaster.pid\" already exists"),
            "held"
        );
        let orphans = "FATAL:  pre-existing shared memory block (key 1, ID 2) is still in use";
        assert_eq!(judged(orphans), "held");
        assert_eq!(
            judged("PANIC:  could not locate a valid checkpoint record"),
            "damaged"
        );
        assert_eq!(
            judged("FATAL:  database files are incompatible with server"),
            "damaged"
        );
        assert_eq!(
            judged("FATAL:  could not map anonymous shared memory"),
            "failed"
        );
        assert_eq!(judged(""), "failed");
    }
}
