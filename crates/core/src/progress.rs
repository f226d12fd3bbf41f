//! Progress as state: what a viewer of a topic should know, and where in the
//! topic's history that knowledge stands.
//!
//! Values are absolute, never increments, so a viewer that misses some of them
//! is late and never wrong. Nothing here is ordered by time.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::{AccountId, ByteCount, JobId, JobKind, JobState, Sha256Digest, UploadId, UploadState};

/// Something a viewer can follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    /// One file on its way in.
    Upload(UploadId),
    /// One piece of work.
    Job(JobId),
    /// The list of what an account may see; changes when something appears,
    /// changes state or goes, not with every byte.
    Account(AccountId),
}

/// The text is not a topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a topic: expected upload:<id>, job:<id> or account:<id>")]
pub struct InvalidTopic;

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Upload(id) => write!(f, "upload:{id}"),
            Self::Job(id) => write!(f, "job:{id}"),
            Self::Account(id) => write!(f, "account:{id}"),
        }
    }
}

impl FromStr for Topic {
    type Err = InvalidTopic;

    fn from_str(text: &str) -> Result<Self, InvalidTopic> {
        let (kind, id) = text.split_once(':').ok_or(InvalidTopic)?;
        let topic = match kind {
            "upload" => id.parse().map(Self::Upload),
            "job" => id.parse().map(Self::Job),
            "account" => id.parse().map(Self::Account),
            _ => return Err(InvalidTopic),
        };
        topic.or(Err(InvalidTopic))
    }
}

/// How many changes a topic has seen within its epoch; starts at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Seq(i64);

impl Seq {
    /// The state in which a topic begins.
    pub const FIRST: Self = Self(1);

    /// As a row or a frame holds it; `None` below [`Seq::FIRST`].
    pub const fn new(seq: i64) -> Option<Self> {
        if seq < Self::FIRST.0 {
            None
        } else {
            Some(Self(seq))
        }
    }

    /// The number.
    pub const fn get(self) -> i64 {
        self.0
    }
}

/// Which history a [`Seq`] counts in. Two epochs share nothing: another attempt
/// at a job, a restored database and a fail-over each begin a new one.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Epoch(Arc<str>);

impl Epoch {
    /// The epoch of attempt `attempt` in the database history named `timeline`.
    pub fn new(timeline: &str, attempt: i32) -> Self {
        Self(format!("{timeline}.{attempt}").into())
    }

    /// The opaque text that viewers hand back.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Where a viewer stands in a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Which history.
    pub epoch: Epoch,
    /// How far in it.
    pub seq: Seq,
}

/// All there is to know about a topic at one position.
#[derive(Debug, Clone, PartialEq)]
pub enum Progress {
    /// Of a [`Topic::Upload`].
    Upload(UploadProgress),
    /// Of a [`Topic::Job`].
    Job(JobProgress),
    /// Of a [`Topic::Account`].
    Account(AccountProgress),
}

/// How far one file has got.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadProgress {
    /// What its owner calls it.
    pub name: String,
    /// How far it has got.
    pub state: UploadState,
    /// Bytes that are durable.
    pub stored: ByteCount,
    /// Size, once it is known.
    pub total: Option<ByteCount>,
    /// Bytes per second as they become durable; `None` while nothing moves.
    pub rate: Option<u64>,
    /// Of the whole file, once it is stored.
    pub sha256: Option<Sha256Digest>,
    /// Its media type: as announced, and after the inspection as found.
    pub media_type: Option<String>,
    /// Why it failed.
    pub message: Option<String>,
    /// The work that came of it.
    pub jobs: Vec<JobId>,
}

/// How far one job has got.
#[derive(Debug, Clone, PartialEq)]
pub struct JobProgress {
    /// What it does.
    pub kind: JobKind,
    /// The file it works on.
    pub upload: UploadId,
    /// How far it has got.
    pub state: JobState,
    /// What it is busy with, for a person.
    pub step: Option<String>,
    /// How much is done, in `unit`.
    pub done: u64,
    /// How much there is to do, once it is known.
    pub total: Option<u64>,
    /// What `done` counts.
    pub unit: String,
    /// Units per second; `None` while nothing moves.
    pub rate: Option<u64>,
    /// Which try this is, from 1; 0 before the first.
    pub attempt: i32,
    /// Its outcome, for a person.
    pub message: Option<String>,
}

/// The newest files of an account and the work on them.
#[derive(Debug, Clone, PartialEq)]
pub struct AccountProgress {
    /// Newest first, at most as many as a list page shows.
    pub uploads: Vec<UploadSummary>,
    /// The jobs of those uploads, newest first.
    pub jobs: Vec<JobSummary>,
}

/// One line of a list of uploads.
#[derive(Debug, Clone, PartialEq)]
pub struct UploadSummary {
    /// Which upload.
    pub id: UploadId,
    /// What its owner calls it.
    pub name: String,
    /// How far it has got.
    pub state: UploadState,
    /// Bytes that are durable.
    pub stored: ByteCount,
    /// Size, once it is known.
    pub total: Option<ByteCount>,
    /// When it was announced, in RFC 3339.
    pub created_at: String,
}

/// One line of a list of jobs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobSummary {
    /// Which job.
    pub id: JobId,
    /// What it does.
    pub kind: JobKind,
    /// The file it works on.
    pub upload: UploadId,
    /// How far it has got.
    pub state: JobState,
}

/// Milliseconds until `total` is reached at `rate` units per second, if there is
/// an end, a rate, and anything left.
pub fn milliseconds_left(done: u64, total: Option<u64>, rate: Option<u64>) -> Option<u64> {
    let left = total?.checked_sub(done).filter(|left| *left > 0)?;
    let rate = rate.filter(|rate| *rate > 0)?;
    Some(left.saturating_mul(1000) / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_reads_back_from_its_own_text() {
        for topic in [
            Topic::Upload(UploadId::new()),
            Topic::Job(JobId::new()),
            Topic::Account(AccountId::new()),
        ] {
            assert_eq!(topic.to_string().parse(), Ok(topic));
        }
    }

    #[test]
    fn anything_else_is_no_topic() {
        for text in [
            "",
            "upload",
            "upload:",
            "uploads:0190a1b2-0000-7000-8000-000000000000",
        ] {
            assert_eq!(text.parse::<Topic>(), Err(InvalidTopic), "{text}");
        }
    }

    #[test]
    fn a_sequence_starts_at_one() {
        assert_eq!(Seq::new(0), None);
        assert_eq!(Seq::new(1), Some(Seq::FIRST));
    }

    #[test]
    fn time_left_needs_an_end_and_a_rate() {
        assert_eq!(milliseconds_left(25, Some(100), Some(10)), Some(7500));
        assert_eq!(milliseconds_left(25, None, Some(10)), None);
        assert_eq!(milliseconds_left(25, Some(100), Some(0)), None);
        assert_eq!(milliseconds_left(100, Some(100), Some(10)), None);
    }
}
