//! Plain ways in, for whoever has no client of a protocol: `PUT /uploads/{filename}`
//! (`curl -T`) and `POST /uploads` (a form, also of a page without script).
//!
//! They are announced, stored, limited and followed like every upload; but nobody can
//! go on with one that was cut, so of such a file nothing is kept.

mod form;

use std::collections::BTreeMap;

use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse, rt, web};
use bytes::Bytes;
use futures_util::Stream;
use schemars::JsonSchema;
use serde::Serialize;
use slipway_core::{ByteCount, UploadId};
use slipway_ingest::{AppendError, Caller, Continuation, Ending, NewFile, until};

use crate::app::State;
use crate::caller::{Proven, identify};
use crate::error::ApiError;
use crate::ietf::expected_file;
use crate::trace::wants_page;
use crate::wire::UploadJson;

/// What came of a file.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Received {
    #[serde(flatten)]
    upload: UploadJson,
    links: BTreeMap<&'static str, String>,
}

/// What came of a form.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ReceivedList {
    uploads: Vec<Received>,
}

/// `PUT /uploads/{filename}`: the body is the file.
pub(crate) async fn put(
    request: HttpRequest,
    state: web::Data<State>,
    name: web::Path<String>,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let Proven(caller) = Proven::extract(&request).await?;
    require_staying(&state)?;
    let headers = request.headers();
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<ByteCount>().ok());
    let media_type = headers.get(header::CONTENT_TYPE);
    let file = NewFile {
        name: name.into_inner(),
        media_type: media_type.and_then(|value| Some(value.to_str().ok()?.to_owned())),
        metadata: String::new(),
        total: length,
        explicit_end: true,
        concat: None,
        expected: expected_file(headers)?,
    };
    let taking = take_in(state.clone(), caller.clone(), file, body);
    let id = joined(rt::spawn(taking)).await?;
    let received = received(&state, &caller, id).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, format!("/api/v1/uploads/{id}")))
        .json(received))
}

/// `POST /uploads`: every file of the form.
pub(crate) async fn post(
    request: HttpRequest,
    state: web::Data<State>,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let wants_page = wants_page(&request);
    let caller = match identify(&request).await? {
        Some(caller) => caller,
        None if wants_page => return Err(ApiError::sign_in_first("/")),
        None => return Err(ApiError::not_signed_in()),
    };
    require_staying(&state)?;
    let form = form::Form::of(&request, until(body, state.left()));
    let ids = joined(rt::spawn(form.take_in(state.clone(), caller.clone()))).await?;
    if wants_page {
        return Ok(HttpResponse::SeeOther()
            .insert_header((header::LOCATION, "/"))
            .finish());
    }
    let mut uploads = Vec::with_capacity(ids.len());
    for id in ids {
        uploads.push(received(&state, &caller, id).await?);
    }
    Ok(HttpResponse::Created().json(ReceivedList { uploads }))
}

/// What came of a task of its own: when the client vanishes, this request is dropped,
/// and what has arrived is to be tidied up all the same.
async fn joined<T>(taking: rt::task::JoinHandle<Result<T, ApiError>>) -> Result<T, ApiError> {
    taking.await.map_err(anyhow::Error::from)?
}

fn require_staying(state: &State) -> Result<(), ApiError> {
    if *state.leaving.borrow() {
        return Err(ApiError::leaving());
    }
    Ok(())
}

/// Announces a file and takes it in, whole or not at all.
async fn take_in<E>(
    state: web::Data<State>,
    caller: Caller,
    file: NewFile,
    body: impl Stream<Item = Result<Bytes, E>> + 'static,
) -> Result<UploadId, ApiError> {
    let continuation = Continuation {
        announced: file.total.map(ByteCount::to_u64),
        end: Ending::Here,
        ..Continuation::default()
    };
    let upload = state.ingest.create(&caller, file).await?;
    let body = until(body, state.left());
    let error = match state.ingest.append(upload.id, continuation, body).await {
        Ok(_) => return Ok(upload.id),
        // It stays, so that its owner can read why.
        Err(error @ AppendError::WrongFile { .. }) => return Err(error.into()),
        Err(error) => error,
    };
    if let Err(fault) = state.ingest.remove_by_key(upload.id, None).await {
        // It expires in time.
        tracing::warn!(upload = %upload.id, %fault, "upload {} was cut and stays", upload.id);
    }
    match error {
        AppendError::Cut { .. } if *state.leaving.borrow() => Err(ApiError::leaving()),
        AppendError::Cut { .. } => Err(ApiError::cut()),
        error => Err(error.into()),
    }
}

async fn received(state: &State, caller: &Caller, id: UploadId) -> Result<Received, ApiError> {
    let (upload, jobs) = state.ingest.received(caller, id).await?;
    let twin = state.ingest.twin(caller, &upload).await?;
    let links = BTreeMap::from([
        ("self", format!("/api/v1/uploads/{id}")),
        ("content", format!("/api/v1/uploads/{id}/content")),
        ("page", format!("/uploads/{id}")),
    ]);
    let upload = UploadJson::new(upload, jobs, caller, &state.keys).with_twin(twin);
    Ok(Received { upload, links })
}
