//! What a decision looks like to whoever has to live with it.

use std::fmt;

/// A rule that decided: on what evidence, why there is such a rule, what helps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// The rule's number; operators and logs refer to it, so it never changes.
    pub rule: &'static str,
    /// What was seen.
    pub evidence: String,
    /// What would go wrong otherwise.
    pub reason: &'static str,
    /// What to do; empty if there is nothing to do.
    pub remedy: String,
}

impl fmt::Display for Ruling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rule {}: {}; {}", self.rule, self.evidence, self.reason)?;
        if self.remedy.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.remedy)
    }
}

/// A decision not to go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("refused by {ruling}")]
pub struct Refusal {
    /// Which rule, and all about it.
    pub ruling: Box<Ruling>,
    /// Whether waiting may help: a release that has not run yet, a stamp that cannot be
    /// read just now. A server waits; a command does not.
    pub passing: bool,
}

impl Refusal {
    pub(crate) fn for_good(ruling: Ruling) -> Self {
        Self {
            ruling: Box::new(ruling),
            passing: false,
        }
    }
}

/// What a command is about to do with a database, the most harmless first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read the stamp and nothing else.
    Look,
    /// Read.
    Read,
    /// Serve, work, change rows.
    Write,
    /// Bring the schema up to date.
    Migrate,
    /// Drop, truncate, take back.
    Destroy,
    /// Say anew what a database is.
    Restamp,
}

impl Access {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::Look,
        Self::Read,
        Self::Write,
        Self::Migrate,
        Self::Destroy,
        Self::Restamp,
    ];

    /// To follow "to".
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Look => "look at",
            Self::Read => "read",
            Self::Write => "write to",
            Self::Migrate => "migrate",
            Self::Destroy => "destroy",
            Self::Restamp => "adopt",
        }
    }
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
