//! Which platform a process runs on, from evidence that can contradict itself.
//!
//! Variables only make a claim; something of the machine must prove it. `PORT`
//! claims nothing, ever: every tool sets it.

mod hosts;

use std::fmt;

use crate::Environ;

pub use hosts::Host;

/// What the evidence amounts to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// No evidence of any.
    None,
    /// This one, and the machine proves it.
    Host(Host, Task),
    /// Variables of this one on a machine that is not: they were copied.
    Copied(Host),
    /// Two at once.
    Several(Host, Host),
}

/// What a process on a platform was started for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    /// To serve or to work, for as long as the platform pleases.
    Serve,
    /// By a person or a clock, for once.
    Run,
    /// Between a build and its first process.
    Release,
    /// The platform does not say.
    Unknown,
}

/// A platform and what led to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// What the evidence amounts to.
    pub platform: Platform,
    /// Whether `CI` is set, which most services for continuous integration do.
    pub ci: bool,
    /// What was looked at and what was seen; no value of a variable is in it.
    pub evidence: Vec<Evidence>,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// A variable, or a fact about the machine.
    pub name: &'static str,
    /// What was seen.
    pub seen: &'static str,
}

impl Platform {
    /// Whether the machine proves it.
    pub fn is_proven(self) -> bool {
        matches!(self, Self::Host(..))
    }
}

impl Sighting {
    /// Weighs the evidence.
    pub fn of(environ: &Environ) -> Self {
        let claims = hosts::claims(environ);
        let platform = match claims.as_slice() {
            [] => Platform::None,
            [claim] if claim.proven => Platform::Host(claim.host, claim.task),
            [claim] => Platform::Copied(claim.host),
            [one, other, ..] => Platform::Several(one.host, other.host),
        };
        Self {
            platform,
            ci: environ
                .get("CI")
                .is_some_and(|ci| !matches!(ci, "false" | "0")),
            evidence: hosts::evidence(environ),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none in sight"),
            Self::Host(host, Task::Unknown) => write!(f, "{host}"),
            Self::Host(host, task) => write!(f, "{host}, started {task}"),
            Self::Copied(host) => write!(f, "none, but variables copied from {host}"),
            Self::Several(one, other) => write!(f, "both {one} and {other}, which cannot be"),
        }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Serve => "to serve",
            Self::Run => "by hand or by a clock",
            Self::Release => "for a release",
            Self::Unknown => "for what the platform does not say",
        })
    }
}

#[cfg(test)]
mod tests;
