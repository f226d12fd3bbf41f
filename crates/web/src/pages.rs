//! The pages: what each template needs, in words and numbers for people.
//!
//! It never asks the database; a page shows what a handler has found.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use askama::Template;
use slipway_core::{Action, ByteCount, JobKind, JobState, UploadState};
use slipway_ingest::{Caller, Job, LinkSeen, Twin, Upload};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

use crate::assets::FOLDER;
use crate::error::ApiError;

/// Who is signed in, for the head of the page.
pub(crate) struct Viewer {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) administers: bool,
}

impl From<&Caller> for Viewer {
    fn from(caller: &Caller) -> Self {
        Self {
            id: caller.id().to_string(),
            email: caller.email().to_owned(),
            administers: caller.may(Action::AccountsManage).is_ok(),
        }
    }
}

/// An upload as a page shows it.
pub(crate) struct UploadView {
    id: String,
    name: String,
    state: &'static str,
    state_text: &'static str,
    stored_bytes: u64,
    total_bytes: u64,
    total_known: bool,
    size_text: String,
    created_at: String,
    created_text: String,
    sha256: String,
    media_type: String,
    message: String,
    active: bool,
}

/// A job as a page shows it.
pub(crate) struct JobView {
    id: String,
    kind: &'static str,
    kind_text: &'static str,
    state: &'static str,
    state_text: &'static str,
    step: String,
    done: u64,
    total: u64,
    total_known: bool,
    unit: String,
    message: String,
    active: bool,
}

/// `/`
#[derive(Template)]
#[template(path = "uploads.html")]
pub(crate) struct UploadsPage {
    assets: &'static str,
    page: &'static str,
    viewer: Option<Viewer>,
    uploads: Vec<UploadView>,
    max_bytes: u64,
    max_text: String,
    more: bool,
}

/// `/uploads/{id}`
#[derive(Template)]
#[template(path = "upload.html")]
pub(crate) struct UploadPage {
    assets: &'static str,
    page: &'static str,
    viewer: Option<Viewer>,
    upload: UploadView,
    twin: Option<TwinView>,
    jobs: Vec<JobView>,
}

/// Another stored file with the same content.
struct TwinView {
    id: String,
    name: String,
}

/// `/sign-in`
#[derive(Template)]
#[template(path = "sign_in.html")]
pub(crate) struct SignInPage {
    assets: &'static str,
    page: &'static str,
    viewer: Option<Viewer>,
    problem: Option<String>,
    email: String,
    link: Option<String>,
    /// Whose password whoever has the link chooses first.
    sets_password_of: Option<String>,
    next: String,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage<'a> {
    assets: &'static str,
    page: &'static str,
    viewer: Option<Viewer>,
    status: u16,
    title: &'a str,
    detail: String,
    request_id: &'a str,
}

impl UploadsPage {
    pub(crate) fn new(
        caller: &Caller,
        uploads: Vec<Upload>,
        bytes_max: ByteCount,
        more: bool,
    ) -> Self {
        Self {
            assets: FOLDER,
            page: "uploads",
            viewer: Some(caller.into()),
            uploads: uploads.into_iter().map(UploadView::from).collect(),
            max_bytes: bytes_max.to_u64(),
            max_text: size(bytes_max.to_u64()),
            more,
        }
    }
}

impl UploadPage {
    pub(crate) fn new(caller: &Caller, upload: Upload, twin: Option<Twin>, jobs: Vec<Job>) -> Self {
        Self {
            assets: FOLDER,
            page: "upload",
            viewer: Some(caller.into()),
            upload: upload.into(),
            twin: twin.map(|twin| TwinView {
                id: twin.id.to_string(),
                name: twin.name,
            }),
            jobs: jobs.into_iter().map(JobView::from).collect(),
        }
    }
}

impl SignInPage {
    pub(crate) fn new(next: String) -> Self {
        Self {
            assets: FOLDER,
            page: "sign-in",
            viewer: None,
            problem: None,
            email: String::new(),
            link: None,
            sets_password_of: None,
            next,
        }
    }

    /// With a button for a one-time link instead of the form.
    pub(crate) fn with_link(self, link: Option<String>, seen: Option<LinkSeen>) -> Self {
        let sets_password_of = seen.filter(|seen| seen.sets_password);
        Self {
            link,
            sets_password_of: sets_password_of.map(|seen| seen.email),
            ..self
        }
    }

    /// With what went wrong, and the address to correct.
    pub(crate) fn with_problem(self, problem: String, email: String) -> Self {
        Self {
            problem: Some(problem),
            email,
            ..self
        }
    }
}

/// Renders a page.
pub(crate) fn page(status: StatusCode, page: &impl Template) -> Result<HttpResponse, ApiError> {
    let body = page.render().map_err(anyhow::Error::from)?;
    Ok(HttpResponse::build(status)
        .content_type("text/html; charset=utf-8")
        .body(body))
}

/// The page for something that did not work; never fails itself.
pub(crate) fn error(
    status: StatusCode,
    detail: &str,
    request_id: &str,
    viewer: Option<Viewer>,
) -> HttpResponse {
    let error = ErrorPage {
        assets: FOLDER,
        page: "error",
        viewer,
        status: status.as_u16(),
        title: title(status),
        detail: sentence(detail),
        request_id,
    };
    page(status, &error).unwrap_or_else(|_| HttpResponse::new(status))
}

fn title(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "There is nothing here",
        StatusCode::GONE => "This is gone",
        StatusCode::FORBIDDEN => "You may not do that",
        StatusCode::UNAUTHORIZED => "You are not signed in",
        StatusCode::SERVICE_UNAVAILABLE => "The server is busy",
        status if status.is_server_error() => "Something broke on our side",
        _ => "That did not work",
    }
}

/// Messages are written for logs and programs; on a page they are sentences.
pub(crate) fn sentence(detail: &str) -> String {
    let mut characters = detail.chars();
    match characters.next() {
        Some(first) => format!("{}{}.", first.to_uppercase(), characters.as_str()),
        None => String::new(),
    }
}

impl From<Upload> for UploadView {
    fn from(upload: Upload) -> Self {
        let total = upload.total.map(ByteCount::to_u64);
        Self {
            id: upload.id.to_string(),
            name: upload.name,
            state: upload.state.as_str(),
            state_text: match upload.state {
                UploadState::Receiving => "Receiving",
                UploadState::Verifying => "Verifying",
                UploadState::Stored => "Stored",
                UploadState::Failed => "Failed",
                UploadState::Expired => "Expired",
            },
            stored_bytes: upload.stored.to_u64(),
            total_bytes: total.unwrap_or_default(),
            total_known: total.is_some(),
            size_text: total.map(size).unwrap_or_default(),
            created_at: upload.created_at.format(&Rfc3339).unwrap_or_default(),
            created_text: moment(upload.created_at),
            sha256: upload
                .sha256
                .map(|digest| digest.to_string())
                .unwrap_or_default(),
            media_type: upload.media_type.unwrap_or_default(),
            message: upload.message.unwrap_or_default(),
            active: upload.state.is_active(),
        }
    }
}

impl From<Job> for JobView {
    fn from(job: Job) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.kind.as_str(),
            kind_text: match job.kind {
                JobKind::Inspect => "Inspection",
                JobKind::Assemble => "Assembly",
            },
            state: job.state.as_str(),
            state_text: match job.state {
                JobState::Queued => "waiting",
                JobState::Running => "running",
                JobState::Done => "done",
                JobState::Refused => "refused",
                JobState::Failed => "failed",
                JobState::Cancelled => "cancelled",
            },
            step: job.step.unwrap_or_default(),
            done: job.done,
            total: job.total.unwrap_or_default(),
            total_known: job.total.is_some(),
            unit: job.unit,
            message: job.message.unwrap_or_default(),
            active: job.state.is_active(),
        }
    }
}

/// A size in binary units: one decimal below 100, none above, none for bytes
/// (IEC 80000-13). `format.js` does the same.
fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "a rounded number is shown")]
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 1023.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let decimals = usize::from(value < 99.95);
    format!("{value:.decimals$} {}", UNITS[unit])
}

pub(crate) fn moment(at: OffsetDateTime) -> String {
    let format = format_description!("[year]-[month]-[day] [hour]:[minute] UTC");
    at.format(&format).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_like_sizes() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (524_288, "512 KiB"),
            (102_348, "99.9 KiB"),
            (102_400, "100 KiB"),
            (1_048_575, "1.0 MiB"),
            (2_147_483_648, "2.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(size(bytes), text, "{bytes}");
        }
    }

    #[test]
    fn a_message_becomes_a_sentence() {
        assert_eq!(
            sentence("there is no such upload"),
            "There is no such upload."
        );
        assert_eq!(sentence(""), "");
    }
}
