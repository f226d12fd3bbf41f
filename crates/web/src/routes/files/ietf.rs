//! `/files/` by the IETF draft (draft-ietf-httpbis-resumable-upload).

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, web};
use slipway_core::{ByteCount, UploadId, UploadState};
use slipway_ingest::{AppendError, Continuation, Ending, Landed, NewFile, Offset};
use time::OffsetDateTime;

use super::tus::with_place;
use super::{
    Answer, AppState, Refusal, caller, content_url, maybe, opened, require_staying, take_in,
};
use crate::error::ApiError;
use crate::ietf::{
    Dialect, INTEROP_VERSION, REPR_DIGEST, UPLOAD_LIMIT, expected_file, inconsistent_length, limit,
    repr_digest, wants_repr_digest,
};
use crate::tus::{UPLOAD_LENGTH, UPLOAD_OFFSET};
use crate::wire::key_url;

/// Registered types of problems ("Problem Types" in the draft).
const MISMATCHING_OFFSET: &str =
    "https://iana.org/assignments/http-problem-types#mismatching-upload-offset";
const COMPLETED: &str = "https://iana.org/assignments/http-problem-types#completed-upload";

/// Any request with `Upload-Complete`: announces a file, with all or some of its
/// bytes, or none.
pub(super) async fn create(
    dialect: Dialect,
    request: &HttpRequest,
    state: &AppState,
    body: web::Payload,
) -> Answer {
    let caller = caller(request).await?;
    let creation = dialect.creation(request.headers())?;
    require_staying(state)?;
    let file = NewFile {
        name: creation.name.unwrap_or_default(),
        media_type: creation.media_type,
        metadata: String::new(),
        total: creation.length,
        explicit_end: true,
        concat: None,
        expected: expected_file(request.headers())?,
    };
    let upload = state
        .ingest
        .create(&caller, file)
        .await
        .map_err(|error| with_limit(ApiError::from(error), state))?;
    let place = key_url(&state.keys, upload.id);
    let continuation = Continuation {
        from: ByteCount::ZERO,
        announced: creation.body,
        total: None,
        end: ending(creation.complete),
        expected: creation.expected,
    };
    let taken = take_in(request, state, upload.id, continuation, body).await;
    let landed = taken.map_err(|refusal| {
        let error = refused(dialect, refusal, ByteCount::ZERO, state);
        with_place(error, &place)
    })?;
    let mut response = answer(dialect, StatusCode::CREATED, &landed, state);
    response.insert_header((header::LOCATION, place));
    conclude(&mut response, request, upload.id, &landed);
    Ok(response.finish())
}

/// `PATCH /files/{key}`: the next bytes.
pub(super) async fn append(
    dialect: Dialect,
    request: &HttpRequest,
    state: &AppState,
    key: &str,
    body: web::Payload,
) -> Answer {
    let id = opened(state, key)?;
    let append = dialect.append(request.headers())?;
    require_staying(state)?;
    let continuation = Continuation {
        from: append.offset,
        announced: append.body,
        total: append.length,
        end: ending(append.complete),
        expected: append.expected,
    };
    let taken = take_in(request, state, id, continuation, body).await;
    let landed = taken.map_err(|refusal| refused(dialect, refusal, append.offset, state))?;
    let status = if landed.whole.is_some() {
        StatusCode::OK
    } else {
        StatusCode::NO_CONTENT
    };
    let mut response = answer(dialect, status, &landed, state);
    conclude(&mut response, request, id, &landed);
    Ok(response.finish())
}

/// `HEAD /files/{key}`: how far it is.
pub(super) async fn look(dialect: Dialect, state: &AppState, key: &str) -> Answer {
    let upload = state.ingest.offset(opened(state, key)?).await?;
    Ok(standing(dialect, state, upload))
}

/// Where an upload stands ("Offset Retrieval").
pub(super) fn standing(dialect: Dialect, state: &AppState, upload: Offset) -> HttpResponse {
    let complete = upload.state == UploadState::Stored;
    let mut response = HttpResponse::NoContent();
    told(&mut response, dialect, complete);
    response.insert_header((UPLOAD_OFFSET, upload.stored.to_string()));
    limited(
        &mut response,
        state,
        upload.expires_at.filter(|_| !complete),
    );
    let total = upload.total.map(|total| total.to_string());
    maybe(&mut response, UPLOAD_LENGTH, total);
    maybe(
        &mut response,
        REPR_DIGEST,
        upload.sha256.as_ref().map(repr_digest),
    );
    response.finish()
}

fn ending(complete: bool) -> Ending {
    if complete {
        Ending::Here
    } else {
        Ending::Later
    }
}

/// The headers that every answer to a request with bytes has.
fn answer(
    dialect: Dialect,
    status: StatusCode,
    landed: &Landed,
    state: &AppState,
) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    told(&mut response, dialect, landed.whole.is_some());
    response.insert_header((UPLOAD_OFFSET, landed.stored.to_string()));
    if landed.whole.is_none() {
        limited(&mut response, state, landed.expires_at);
    }
    response
}

fn told(response: &mut HttpResponseBuilder, dialect: Dialect, complete: bool) {
    response.insert_header(dialect.completeness(complete));
    if let Some(version) = dialect.version() {
        response.insert_header((INTEROP_VERSION, version));
    }
}

fn limited(
    response: &mut HttpResponseBuilder,
    state: &AppState,
    expires_at: Option<OffsetDateTime>,
) {
    response.insert_header((UPLOAD_LIMIT, limit(state.ingest.bytes_max(), expires_at)));
}

/// What is known of a file once it is whole.
fn conclude(
    response: &mut HttpResponseBuilder,
    request: &HttpRequest,
    id: UploadId,
    landed: &Landed,
) {
    let Some(whole) = &landed.whole else { return };
    response.insert_header((header::CONTENT_LOCATION, content_url(id)));
    if wants_repr_digest(request.headers()) {
        response.insert_header((REPR_DIGEST, repr_digest(whole)));
    }
}

/// A refusal in the words of the draft.
fn refused(dialect: Dialect, refusal: Refusal, given: ByteCount, state: &AppState) -> ApiError {
    let (mut error, complete) = match refusal {
        Refusal::Append(AppendError::Complete { more, .. }) => (completed(more), true),
        Refusal::Append(error @ (AppendError::OtherSize { .. } | AppendError::TooLong { .. })) => {
            (inconsistent_length(&error.to_string()), false)
        }
        Refusal::Append(AppendError::WrongOffset { given: _, have }) => {
            let mut error = ApiError::from(AppendError::WrongOffset { given, have });
            error.members = vec![
                ("expected-offset", have.to_u64()),
                ("provided-offset", given.to_u64()),
            ];
            (error.of_type(MISMATCHING_OFFSET), false)
        }
        Refusal::Append(error @ AppendError::WrongChecksum) => {
            let refused = ApiError::bad_request("digest", error.to_string());
            (refused, false)
        }
        refusal => (ApiError::from(refusal), false),
    };
    if error.status == StatusCode::PAYLOAD_TOO_LARGE {
        error = with_limit(error, state);
    }
    let (name, value) = dialect.completeness(complete);
    error.with(name, HeaderValue::from_static(value))
}

fn completed(more: bool) -> ApiError {
    if more {
        return inconsistent_length("this upload is complete, and there are more bytes");
    }
    ApiError::bad_request("completed_upload", "this upload is complete").of_type(COMPLETED)
}

fn with_limit(error: ApiError, state: &AppState) -> ApiError {
    match HeaderValue::try_from(limit(state.ingest.bytes_max(), None)) {
        Ok(limit) => error.with(UPLOAD_LIMIT, limit),
        Err(_) => error,
    }
}
