//! Children: how they are started, watched and ended.
//!
//! A long-lived child gets a process group of its own, so that Ctrl-C in the terminal
//! reaches xtask alone, which then ends things in the right order. A [`Group`] that is
//! dropped ends its processes: an early return leaves nothing running.

use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

use crate::stop::{GLANCE, Stop};

/// How long a build or a tool may take to end after SIGTERM before it is killed.
pub(crate) const TOOL_GRACE: Duration = Duration::from_secs(5);
/// How long after a child's end we still wait for its last lines: whoever left its
/// group may hold the pipe open for ever.
const LAST_LINES_LIMIT: Duration = Duration::from_secs(2);
/// Lines read ahead of the printing; a full queue makes the child wait, not us grow.
const LINES_AHEAD: usize = 1024;

/// The signals that xtask sends.
#[derive(Clone, Copy)]
pub(crate) enum Signal {
    /// "Please end"; Postgres reads it as "when the last client has gone".
    Term,
    /// Postgres: end now, in order.
    Int,
    /// Postgres: end at once and recover at the next start.
    Quit,
    /// No choice.
    Kill,
}

impl Signal {
    fn name(self) -> &'static str {
        match self {
            Signal::Term => "TERM",
            Signal::Int => "INT",
            Signal::Quit => "QUIT",
            Signal::Kill => "KILL",
        }
    }
}

/// Sends `signal` to a process, or to a process group where `target` starts with `-`.
///
/// The standard library sends nothing but SIGKILL and unsafe code is forbidden, so the
/// shell's own `kill` does it: unlike a `kill` program, that one is on every machine.
pub(crate) fn send(signal: Signal, target: &str) {
    let _ = Command::new("/bin/sh")
        .args([
            "-c",
            "kill -s \"$1\" -- \"$2\"",
            "sh",
            signal.name(),
            target,
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
}

/// A child in a process group of its own.
pub(crate) struct Group {
    child: Child,
    name: String,
    swept: bool,
}

impl Group {
    /// Starts `command`; `name` is what messages call it.
    pub(crate) fn start(command: &mut Command, name: &str) -> Result<Group> {
        let child = command
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name} ({})", spelled(command)))?;
        Ok(Group {
            child,
            name: name.to_owned(),
            swept: false,
        })
    }

    /// The process id, which is also the group's.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, if it has. With the leader's end the rest of the group has nobody
    /// to answer to (a test that failed may leave its server behind), so it is killed.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        let status = self
            .child
            .try_wait()
            .with_context(|| format!("watching {}", self.name))?;
        if status.is_some() && !self.swept {
            // Now and never again: later the number may be somebody else's.
            self.swept = true;
            self.signal_group(Signal::Kill);
        }
        Ok(status)
    }

    /// Waits for the end; ends it and gives up after `limit` or when a stop is asked for.
    pub(crate) fn wait(&mut self, limit: Duration, stop: &Stop) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.ended()? {
                return Ok(status);
            }
            let late = Instant::now() > deadline;
            if late || stop.asked() {
                self.end(TOOL_GRACE, stop);
                stop.check()?;
                bail!(
                    "{} was given {} s and did not finish",
                    self.name,
                    limit.as_secs()
                );
            }
            thread::sleep(GLANCE);
        }
    }

    /// As [`Group::wait`], but it must end well.
    pub(crate) fn finish(&mut self, limit: Duration, stop: &Stop) -> Result<()> {
        let status = self.wait(limit, stop)?;
        if status.success() {
            Ok(())
        } else {
            bail!("{} failed ({status})", self.name)
        }
    }

    /// Waits up to `grace` for the end; less when a stop is insisted on.
    fn gone_within(&mut self, grace: Duration, stop: &Stop) -> bool {
        let deadline = Instant::now() + grace;
        loop {
            // An error means there is nothing left to wait for.
            if !matches!(self.ended(), Ok(None)) {
                return true;
            }
            if Instant::now() > deadline || stop.insisted() {
                return false;
            }
            thread::sleep(GLANCE);
        }
    }

    /// SIGTERM to the group, `grace` to end in, then SIGKILL. True if it went by itself.
    pub(crate) fn end(&mut self, grace: Duration, stop: &Stop) -> bool {
        if !matches!(self.ended(), Ok(None)) {
            return true;
        }
        self.signal_group(Signal::Term);
        let willing = self.gone_within(grace, stop);
        if !willing {
            self.signal_group(Signal::Kill);
            let _ = self.child.wait();
        }
        willing
    }

    fn signal_group(&self, signal: Signal) {
        send(signal, &format!("-{}", self.id()));
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if matches!(self.ended(), Ok(None)) {
            self.end(TOOL_GRACE, &Stop::default());
        }
    }
}

/// Runs `command` and hands each line of its standard output to `each` as it comes.
pub(crate) fn lines(
    command: &mut Command,
    name: &str,
    limit: Duration,
    stop: &Stop,
    mut each: impl FnMut(&str),
) -> Result<ExitStatus> {
    let mut group = Group::start(command.stdout(Stdio::piped()), name)?;
    let pipe = group
        .child
        .stdout
        .take()
        .ok_or_else(|| anyhow!("{name} has no output"))?;
    let lines = read_ahead(pipe);
    let deadline = Instant::now() + limit;
    let mut ended_at = None;
    loop {
        match lines.recv_timeout(GLANCE) {
            Ok(line) => each(&line),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {
                if ended_at.is_none() && group.ended()?.is_some() {
                    ended_at = Some(Instant::now());
                }
                if ended_at.is_some_and(|at: Instant| at.elapsed() > LAST_LINES_LIMIT) {
                    break;
                }
            }
        }
        if stop.asked() || Instant::now() > deadline {
            break;
        }
    }
    group.wait(deadline.saturating_duration_since(Instant::now()), stop)
}

fn read_ahead(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = mpsc::sync_channel(LINES_AHEAD);
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n') {
            let Ok(line) = line else { return };
            if sender
                .send(String::from_utf8_lossy(&line).into_owned())
                .is_err()
            {
                return;
            }
        }
    });
    receiver
}

/// Runs a short command and returns its standard output; an error carries what it said.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let result = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("running `{}`", spelled(command)))?;
    if !result.status.success() {
        let said = String::from_utf8_lossy(&result.stderr);
        bail!(
            "`{}` failed ({}): {}",
            spelled(command),
            result.status,
            said.trim()
        );
    }
    Ok(String::from_utf8_lossy(&result.stdout).into_owned())
}

/// True when the command runs and ends well; what it prints is of no interest.
pub(crate) fn works(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as somebody would type it.
pub(crate) fn spelled(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for word in command.get_args() {
        line.push(' ');
        line.push_str(&word.to_string_lossy());
    }
    line
}

#[cfg(test)]
mod tests {
    use std::process::Command;
    use std::time::{Duration, Instant};
    use std::{fs, thread};

    use super::{Group, lines, output};
    use crate::postgres::look;
    use crate::stop::{GLANCE, Stop};

    const LIMIT: Duration = Duration::from_secs(10);

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    fn wait_until_gone(pid: u32) {
        let deadline = Instant::now() + LIMIT;
        while look(pid).is_some_and(|seen| !seen.zombie) {
            assert!(Instant::now() < deadline, "process {pid} lives on");
            thread::sleep(GLANCE);
        }
    }

    #[test]
    fn a_child_that_ignores_sigterm_is_killed_with_its_children() {
        let note = std::env::temp_dir().join(format!("slipway-group-{}", std::process::id()));
        let script = format!(
            "trap '' TERM; sleep 600 & echo $! > {}; wait",
            note.display()
        );
        let mut group = Group::start(&mut shell(&script), "the stubborn one").unwrap();
        let grandchild = loop {
            match fs::read_to_string(&note).unwrap_or_default().trim().parse() {
                Ok(pid) => break pid,
                Err(_) => thread::sleep(GLANCE),
            }
        };

        let willing = group.end(Duration::from_millis(200), &Stop::default());

        assert!(!willing);
        wait_until_gone(grandchild);
        fs::remove_file(&note).unwrap();
    }

    #[test]
    fn a_polite_child_goes_by_itself() {
        let mut group = Group::start(&mut shell("sleep 600"), "the polite one").unwrap();

        assert!(group.end(LIMIT, &Stop::default()));
    }

    #[test]
    fn lines_arrive_in_order_with_the_exit_status() {
        let mut seen = Vec::new();
        let mut command = shell("echo one; echo two; exit 3");

        let status = lines(
            &mut command,
            "the talker",
            LIMIT,
            &Stop::default(),
            |line| {
                seen.push(line.to_owned());
            },
        );

        assert_eq!(status.unwrap().code(), Some(3));
        assert_eq!(seen, ["one", "two"]);
    }

    #[test]
    fn a_grandchild_neither_keeps_us_waiting_nor_outlives_its_parent() {
        let mut said = Vec::new();
        let mut command = shell("sleep 600 & echo $!");

        let status = lines(
            &mut command,
            "the parent",
            LIMIT,
            &Stop::default(),
            |line| said.push(line.to_owned()),
        );

        assert!(status.unwrap().success());
        wait_until_gone(said[0].parse().unwrap());
    }

    #[test]
    fn a_child_over_its_time_is_ended() {
        let limit = Duration::from_millis(100);
        let error = lines(
            &mut shell("sleep 600"),
            "the slow one",
            limit,
            &Stop::default(),
            |_| {},
        );

        assert!(error.unwrap_err().to_string().contains("did not finish"));
    }

    #[test]
    fn what_a_failed_command_said_is_in_the_error() {
        let error = output(&mut shell("echo the reason >&2; exit 1"))
            .unwrap_err()
            .to_string();

        assert!(error.contains("the reason"), "{error}");
    }
}
