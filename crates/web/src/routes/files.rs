//! `/files/`: resumable uploads by tus 1.0.0.
//!
//! `HEAD`, `PATCH` and `DELETE` need a key and no account, so that a session that
//! ends never ends an upload.

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpResponse, rt, web};
use futures_util::StreamExt;
use slipway_core::UploadId;
use slipway_ingest::NewFile;

use crate::app::State;
use crate::caller::Proven;
use crate::error::ApiError;
use crate::tus::{
    Announcement, ChunkStart, TUS_EXTENSIONS, TUS_RESUMABLE, TUS_VERSION, Tus, UPLOAD_LENGTH,
    UPLOAD_METADATA, UPLOAD_OFFSET,
};
use crate::wire::key_url;

/// `OPTIONS /files/`: what is spoken here.
pub(crate) async fn options(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((TUS_RESUMABLE, TUS_VERSION))
        .insert_header((HeaderName::from_static("tus-version"), TUS_VERSION))
        .insert_header((HeaderName::from_static("tus-extension"), TUS_EXTENSIONS))
        .insert_header((
            HeaderName::from_static("tus-max-size"),
            state.ingest.bytes_max().to_string(),
        ))
        .finish()
}

/// `POST /files/`: announces a file and says where to send it.
pub(crate) async fn create(
    _: Tus,
    state: web::Data<State>,
    Proven(caller): Proven,
    announced: Announcement,
) -> Result<HttpResponse, ApiError> {
    let file = NewFile {
        name: announced.metadata.name.unwrap_or_default(),
        media_type: announced.metadata.media_type,
        metadata: announced.metadata.raw,
        total: announced.length,
    };
    let upload = state.ingest.create(&caller, file).await?;
    Ok(HttpResponse::Created()
        .insert_header((header::LOCATION, key_url(&state.keys, upload.id)))
        .insert_header((TUS_RESUMABLE, TUS_VERSION))
        .insert_header((UPLOAD_OFFSET, upload.stored.to_string()))
        .finish())
}

/// `HEAD /files/{key}`: how far it is.
pub(crate) async fn look(
    _: Tus,
    state: web::Data<State>,
    key: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let offset = state.ingest.offset(opened(&state, &key)?).await?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((TUS_RESUMABLE, TUS_VERSION))
        .insert_header((UPLOAD_OFFSET, offset.stored.to_string()));
    if let Some(total) = offset.total {
        response.insert_header((UPLOAD_LENGTH, total.to_string()));
    }
    if !offset.metadata.is_empty() {
        response.insert_header((UPLOAD_METADATA, offset.metadata));
    }
    Ok(response.finish())
}

/// `PATCH /files/{key}`: the next bytes.
pub(crate) async fn append(
    _: Tus,
    state: web::Data<State>,
    key: web::Path<String>,
    start: ChunkStart,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let id = opened(&state, &key)?;
    if *state.leaving.borrow() {
        return Err(ApiError::leaving());
    }
    // A task of its own: when the client vanishes, this request is dropped, and
    // what has arrived must be committed all the same.
    let appending = rt::spawn(async move {
        let body = body.take_until(state.left());
        state
            .ingest
            .append(id, start.offset, start.length, body)
            .await
    });
    let stored = appending.await.map_err(anyhow::Error::from)??;
    Ok(HttpResponse::NoContent()
        .insert_header((TUS_RESUMABLE, TUS_VERSION))
        .insert_header((UPLOAD_OFFSET, stored.to_string()))
        .finish())
}

/// `DELETE /files/{key}`: gives it up.
pub(crate) async fn remove(
    _: Tus,
    state: web::Data<State>,
    key: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.ingest.remove_by_key(opened(&state, &key)?).await?;
    Ok(HttpResponse::NoContent()
        .insert_header((TUS_RESUMABLE, TUS_VERSION))
        .finish())
}

fn opened(state: &State, key: &str) -> Result<UploadId, ApiError> {
    state.keys.check(key).ok_or_else(ApiError::no_such_page)
}
