//! The JSON of uploads and jobs, twins of the rows.
//!
//! It never shows an upload's key to anybody but its owner.

use schemars::JsonSchema;
use serde::Serialize;
use slipway_core::{UploadId, UploadState, milliseconds_left};
use slipway_ingest::{Caller, Job, Twin, Upload};
use time::OffsetDateTime;

use crate::keys::Keys;

/// An upload.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UploadJson {
    id: String,
    name: String,
    media_type: Option<String>,
    total_bytes: Option<u64>,
    stored_bytes: u64,
    state: &'static str,
    sha256: Option<String>,
    message: Option<String>,
    owner: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    finished_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    expires_at: Option<OffsetDateTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key_url: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duplicate_of: Option<TwinJson>,
    jobs: Vec<JobJson>,
}

/// Another stored file with the same content.
#[derive(Serialize, JsonSchema)]
struct TwinJson {
    id: String,
    name: String,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: OffsetDateTime,
}

/// A job.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobJson {
    id: String,
    kind: &'static str,
    upload_id: String,
    state: &'static str,
    step: Option<String>,
    done: u64,
    total: Option<u64>,
    unit: String,
    rate: Option<u64>,
    eta_ms: Option<u64>,
    attempt: i32,
    message: Option<String>,
    #[serde(with = "time::serde::rfc3339")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    created_at: OffsetDateTime,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    started_at: Option<OffsetDateTime>,
    #[serde(with = "time::serde::rfc3339::option")]
    #[schemars(with = "Option<String>", extend("format" = "date-time"))]
    finished_at: Option<OffsetDateTime>,
}

/// A page of uploads.
#[derive(Serialize, JsonSchema)]
pub(crate) struct UploadList {
    pub(crate) uploads: Vec<UploadJson>,
    pub(crate) next_cursor: Option<String>,
}

/// A page of jobs.
#[derive(Serialize, JsonSchema)]
pub(crate) struct JobList {
    pub(crate) jobs: Vec<JobJson>,
    pub(crate) next_cursor: Option<String>,
}

/// Where the bytes of an upload are sent.
pub(crate) fn key_url(keys: &Keys, id: UploadId) -> String {
    format!("/files/{}", keys.of(id))
}

impl UploadJson {
    /// An upload as `caller` may see it.
    pub(crate) fn new(upload: Upload, jobs: Vec<Job>, caller: &Caller, keys: &Keys) -> Self {
        let theirs = upload.owner == caller.id() && upload.state == UploadState::Receiving;
        Self {
            key_url: theirs.then(|| key_url(keys, upload.id)),
            id: upload.id.to_string(),
            name: upload.name,
            media_type: upload.media_type,
            total_bytes: upload.total.map(|total| total.to_u64()),
            stored_bytes: upload.stored.to_u64(),
            state: upload.state.as_str(),
            sha256: upload.sha256.map(|digest| digest.to_string()),
            message: upload.message,
            owner: upload.owner.to_string(),
            created_at: upload.created_at,
            finished_at: upload.finished_at,
            expires_at: upload.expires_at,
            duplicate_of: None,
            jobs: jobs.into_iter().map(JobJson::from).collect(),
        }
    }

    /// With another file that has the same content, if there is one.
    pub(crate) fn with_twin(self, twin: Option<Twin>) -> Self {
        let duplicate_of = twin.map(|twin| TwinJson {
            id: twin.id.to_string(),
            name: twin.name,
            created_at: twin.created_at,
        });
        Self {
            duplicate_of,
            ..self
        }
    }
}

impl From<Job> for JobJson {
    fn from(job: Job) -> Self {
        let eta_ms = milliseconds_left(job.done, job.total, job.rate);
        Self {
            id: job.id.to_string(),
            kind: job.kind.as_str(),
            upload_id: job.upload.to_string(),
            state: job.state.as_str(),
            step: job.step,
            done: job.done,
            total: job.total,
            unit: job.unit,
            rate: job.rate,
            eta_ms,
            attempt: job.attempt,
            message: job.message,
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: job.finished_at,
        }
    }
}
