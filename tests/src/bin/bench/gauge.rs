//! What a process costs: processor time and resident memory, from `/proc`.
//!
//! It never guesses: where `/proc` does not tell, the bench fails.

use anyhow::{Context, Result};

/// The unit of processor times in `/proc`; fixed at 100 a second for programs, whatever
/// the kernel uses inside (proc_pid_stat(5), USER_HZ).
const TICKS_A_SECOND: f64 = 100.0;

/// A reading before and one after.
pub(crate) struct Gauge {
    pid: u32,
    ticks: u64,
    resident: u64,
}

impl Gauge {
    /// Notes where a process stands, and lets its peak begin anew.
    pub(crate) fn start(pid: u32) -> Result<Self> {
        // 5 resets the peak (proc_pid_clear_refs(5)).
        std::fs::write(format!("/proc/{pid}/clear_refs"), "5")?;
        Ok(Self {
            pid,
            ticks: ticks(pid)?,
            resident: memory(pid, "VmRSS")?,
        })
    }

    /// Processor seconds since then.
    pub(crate) fn seconds(&self) -> Result<f64> {
        Ok((ticks(self.pid)? - self.ticks) as f64 / TICKS_A_SECOND)
    }

    /// MiB by which resident memory exceeded what it was then, at its highest.
    pub(crate) fn added_mebibytes(&self) -> Result<f64> {
        let peak = memory(self.pid, "VmHWM")?;
        Ok(peak.saturating_sub(self.resident) as f64 / 1024.0)
    }

    /// Resident MiB then.
    pub(crate) fn resident_mebibytes(&self) -> f64 {
        self.resident as f64 / 1024.0
    }
}

fn ticks(pid: u32) -> Result<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name of the program, in brackets, may hold anything.
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let field = |index: usize| fields.get(index).context("stat is too short");
    Ok(field(11)?.parse::<u64>()? + field(12)?.parse::<u64>()?)
}

/// A figure of `status`, in KiB.
fn memory(pid: u32, figure: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find(|line| line.starts_with(figure));
    let mut words = line.context("no such figure")?.split_whitespace();
    Ok(words.nth(1).context("no number")?.parse()?)
}
