//! The process with the viewers, seen from the bench: started, asked, ended.
//!
//! It never waits without a bound.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use serde_json::Value;

/// How long anything may take that is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// How often it is asked for.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Viewers in a process of their own; ended when dropped.
pub(crate) struct Watchers {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
    topics: PathBuf,
    base: u128,
    unit: u128,
}

/// What they say they got.
pub(crate) struct Seen(Value);

impl Watchers {
    /// Starts so many, each following one of `topics`. A unit of `done` stands for so
    /// many microseconds since `base`.
    pub(crate) fn start(
        (address, token): (&str, &str),
        viewers: usize,
        topics: &[String],
        (base, unit): (u128, u128),
    ) -> Result<Self> {
        let own = std::env::current_exe()?;
        let file = std::env::temp_dir().join(format!("slw-topics-{}-{base}", std::process::id()));
        std::fs::write(&file, topics.join("\n"))?;
        let mut child = Command::new(own.with_file_name("watchers"))
            .arg(address.trim_start_matches("http://"))
            .arg(token)
            .args([viewers.to_string(), base.to_string(), unit.to_string()])
            .arg(&file)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the viewers")?;
        let orders = child.stdin.take().context("no standard input")?;
        let answers = child.stdout.take().context("no standard output")?;
        let mut watchers = Self {
            child,
            orders,
            answers: BufReader::new(answers),
            topics: file,
            base,
            unit,
        };
        watchers.until("following", viewers, 0)?;
        Ok(watchers)
    }

    /// What `done` is, committed now.
    pub(crate) fn now(&self) -> Result<u64> {
        Ok(u64::try_from((micros()? - self.base) / self.unit)?)
    }

    /// Gives an order.
    pub(crate) fn order(&mut self, order: &str) -> Result<()> {
        writeln!(self.orders, "{order}")?;
        Ok(self.orders.flush()?)
    }

    /// What they got since the last `reset`, and how many stand at `done`.
    pub(crate) fn report(&mut self, done: u64) -> Result<Seen> {
        self.order(&format!("report {done}"))?;
        let mut line = String::new();
        self.answers.read_line(&mut line)?;
        Ok(Seen(
            serde_json::from_str(&line).context("the viewers have ended")?,
        ))
    }

    /// Waits until a figure has come to `count`; how long that took.
    pub(crate) fn until(&mut self, figure: &str, count: usize, done: u64) -> Result<Duration> {
        let began = Instant::now();
        loop {
            let seen = self.report(done)?;
            if seen.count(figure) >= count as f64 {
                return Ok(began.elapsed());
            }
            ensure!(
                began.elapsed() < PATIENCE,
                "{figure} did not come to {count}: {}",
                seen.0
            );
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

impl Seen {
    /// A figure.
    pub(crate) fn count(&self, figure: &str) -> f64 {
        self.0[figure].as_f64().unwrap_or_default()
    }
}

impl Drop for Watchers {
    fn drop(&mut self) {
        // What cannot be ended or removed goes with the machine's temporary folder.
        let _ended = self.child.kill().and_then(|()| self.child.wait());
        let _removed = std::fs::remove_file(&self.topics);
    }
}

/// Microseconds since 1970: the one clock that processes share.
pub(crate) fn micros() -> Result<u128> {
    Ok(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())
}
