//! Whether somebody asked this run to end: Ctrl-C, SIGTERM or a closed terminal.
//!
//! A signal only raises a count. Whoever waits looks at it, so every child is stopped
//! by the code that started it and nothing happens inside a signal handler.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// How often a waiting loop looks at its child and at the stop count. Forty glances a
/// second cost no measurable CPU, and a dozen short children in a row lose a quarter
/// of a second in all.
pub(crate) const GLANCE: Duration = Duration::from_millis(25);

/// Counts requests to stop; cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Stop {
    requests: Arc<AtomicUsize>,
}

/// The error of work that was given up because a stop was asked for.
#[derive(Debug)]
pub(crate) struct Stopped;

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("stopped on request")
    }
}

impl std::error::Error for Stopped {}

impl Stop {
    /// Starts counting signals; from here on none of them ends the process by itself.
    pub(crate) fn listen() -> Result<Stop> {
        let stop = Stop::default();
        let requests = Arc::clone(&stop.requests);
        let mut signals =
            Signals::new([SIGINT, SIGTERM, SIGHUP]).context("listening for signals")?;
        thread::spawn(move || {
            for _ in signals.forever() {
                requests.fetch_add(1, Ordering::Relaxed);
            }
        });
        Ok(stop)
    }

    /// True once somebody asked.
    pub(crate) fn asked(&self) -> bool {
        self.count() > 0
    }

    /// True when somebody asked again: patience is over.
    pub(crate) fn insisted(&self) -> bool {
        self.count() > 1
    }

    /// An error once somebody asked, for use between two steps.
    pub(crate) fn check(&self) -> Result<()> {
        if self.asked() {
            Err(Stopped.into())
        } else {
            Ok(())
        }
    }

    fn count(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }
}
