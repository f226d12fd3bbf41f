//! What viewers are told of a topic: the `d` of a frame, twins of the words in core.
//!
//! It never holds back a field: whatever changes is told as the whole value it is now.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use slipway_core::{
    JobKind, JobState, JobSummary, Progress, UploadState, UploadSummary, milliseconds_left,
};

/// The state of a topic; which of the three it is, the topic's name says.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(crate) enum State<'a> {
    /// Of `upload:<id>`.
    Upload(Box<UploadLike<'a>>),
    /// Of `job:<id>`.
    Job(Box<JobLike<'a>>),
    /// Of `account:<id>`.
    Account(AccountLike<'a>),
}

/// A file on its way in, and after.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "UploadState")]
pub(crate) struct UploadLike<'a> {
    /// What its owner calls it.
    name: &'a str,
    /// How far it has got.
    #[schemars(schema_with = "upload_states")]
    status: &'static str,
    /// What is being done with it, for a person.
    step: Option<&'a str>,
    /// Bytes that are durable.
    done: u64,
    /// Size in bytes, once it is known.
    total: Option<u64>,
    /// What `done` and `total` count.
    #[schemars(extend("const" = "bytes"))]
    unit: &'static str,
    /// Bytes per second as they become durable; null while nothing moves.
    rate: Option<u64>,
    /// Milliseconds until all of it is durable, if that can be told.
    eta_ms: Option<u64>,
    /// SHA-256 of the whole file in hexadecimal, once it is known.
    checksum: Option<String>,
    /// As announced, and after the inspection as found.
    media_type: Option<&'a str>,
    /// Why it failed, for a person.
    message: Option<&'a str>,
    /// Ids of the work that came of it, newest first.
    jobs: Vec<String>,
}

/// A piece of work.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "JobState")]
pub(crate) struct JobLike<'a> {
    /// What it does.
    #[schemars(schema_with = "job_kinds")]
    kind: &'static str,
    /// The file it works on.
    upload_id: String,
    /// How far it has got.
    #[schemars(schema_with = "job_states")]
    status: &'static str,
    /// What it is busy with, for a person.
    step: Option<&'a str>,
    /// How much is done, in `unit`.
    done: u64,
    /// How much there is to do, once it is known.
    total: Option<u64>,
    /// What `done` and `total` count.
    unit: &'a str,
    /// Units per second; null while nothing moves.
    rate: Option<u64>,
    /// Milliseconds until it is done, if that can be told.
    eta_ms: Option<u64>,
    /// Its outcome, for a person.
    message: Option<&'a str>,
    /// Which try this is, from 1; 0 before the first.
    attempt: i32,
}

/// The newest files of an account, and the work on them.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "AccountState")]
pub(crate) struct AccountLike<'a> {
    /// Newest first, at most as many as a list shows.
    uploads: Vec<UploadLine<'a>>,
    /// Newest first.
    jobs: Vec<JobLine>,
}

/// A line of the list of files.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct UploadLine<'a> {
    id: String,
    name: &'a str,
    #[schemars(schema_with = "upload_states")]
    status: &'static str,
    /// Bytes that are durable.
    done: u64,
    /// Size in bytes, once it is known.
    total: Option<u64>,
    /// RFC 3339.
    created_at: &'a str,
}

/// A line of the list of jobs.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct JobLine {
    id: String,
    #[schemars(schema_with = "job_kinds")]
    kind: &'static str,
    upload_id: String,
    #[schemars(schema_with = "job_states")]
    status: &'static str,
}

/// Where a topic is told to have turned, even to viewers who missed it.
pub(crate) struct Turns<'a> {
    pub(crate) status: Option<&'static str>,
    pub(crate) step: Option<&'a str>,
}

impl<'a> From<&'a Progress> for Turns<'a> {
    fn from(progress: &'a Progress) -> Self {
        let (status, step) = match progress {
            Progress::Upload(upload) => (Some(upload.state.as_str()), None),
            Progress::Job(job) => (Some(job.state.as_str()), job.step.as_deref()),
            Progress::Account(_) => (None, None),
        };
        Self { status, step }
    }
}

impl<'a> From<&'a Progress> for State<'a> {
    fn from(progress: &'a Progress) -> Self {
        match progress {
            Progress::Upload(upload) => {
                let (done, total) = (upload.stored.to_u64(), upload.total.map(|t| t.to_u64()));
                Self::Upload(Box::new(UploadLike {
                    name: &upload.name,
                    status: upload.state.as_str(),
                    step: None,
                    done,
                    total,
                    unit: "bytes",
                    rate: upload.rate,
                    eta_ms: milliseconds_left(done, total, upload.rate),
                    checksum: upload.sha256.map(|digest| digest.to_string()),
                    media_type: upload.media_type.as_deref(),
                    message: upload.message.as_deref(),
                    jobs: upload.jobs.iter().map(ToString::to_string).collect(),
                }))
            }
            Progress::Job(job) => Self::Job(Box::new(JobLike {
                kind: job.kind.as_str(),
                upload_id: job.upload.to_string(),
                status: job.state.as_str(),
                step: job.step.as_deref(),
                done: job.done,
                total: job.total,
                unit: &job.unit,
                rate: job.rate,
                eta_ms: milliseconds_left(job.done, job.total, job.rate),
                message: job.message.as_deref(),
                attempt: job.attempt,
            })),
            Progress::Account(account) => Self::Account(AccountLike {
                uploads: account.uploads.iter().map(UploadLine::from).collect(),
                jobs: account.jobs.iter().map(JobLine::from).collect(),
            }),
        }
    }
}

impl<'a> From<&'a UploadSummary> for UploadLine<'a> {
    fn from(upload: &'a UploadSummary) -> Self {
        Self {
            id: upload.id.to_string(),
            name: &upload.name,
            status: upload.state.as_str(),
            done: upload.stored.to_u64(),
            total: upload.total.map(|total| total.to_u64()),
            created_at: &upload.created_at,
        }
    }
}

impl From<&JobSummary> for JobLine {
    fn from(job: &JobSummary) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.kind.as_str(),
            upload_id: job.upload.to_string(),
            status: job.state.as_str(),
        }
    }
}

fn upload_states(_: &mut SchemaGenerator) -> Schema {
    one_of(UploadState::ALL.iter().map(|state| state.as_str()))
}

fn job_states(_: &mut SchemaGenerator) -> Schema {
    one_of(JobState::ALL.iter().map(|state| state.as_str()))
}

fn job_kinds(_: &mut SchemaGenerator) -> Schema {
    one_of(JobKind::ALL.iter().map(|kind| kind.as_str()))
}

/// The words of core are declared once, there.
fn one_of(words: impl Iterator<Item = &'static str>) -> Schema {
    let words: Vec<&str> = words.collect();
    json_schema!({ "type": "string", "enum": words })
}
