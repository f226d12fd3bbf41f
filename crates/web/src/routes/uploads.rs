//! `/api/v1/uploads`: see, download and remove what was uploaded.

use actix_web::http::header;
use actix_web::{HttpResponse, web};
use serde::Deserialize;

use super::id;
use crate::app::State;
use crate::caller::Proven;
use crate::disposition::attachment;
use crate::error::ApiError;
use crate::wire::{UploadJson, UploadList};

/// Where a page of a list begins.
#[derive(Deserialize)]
pub(crate) struct Start {
    pub(crate) cursor: Option<String>,
}

/// `GET /api/v1/uploads[?cursor=]`
pub(crate) async fn list(
    state: web::Data<State>,
    Proven(caller): Proven,
    start: web::Query<Start>,
) -> Result<web::Json<UploadList>, ApiError> {
    let after = start.cursor.as_deref().map(id).transpose()?;
    let page = state.ingest.uploads(&caller, after).await?;
    let uploads = page
        .entries
        .into_iter()
        .map(|(upload, jobs)| UploadJson::new(upload, jobs, &caller, &state.keys))
        .collect();
    Ok(web::Json(UploadList {
        uploads,
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}

/// `GET /api/v1/uploads/{id}`
pub(crate) async fn one(
    state: web::Data<State>,
    Proven(caller): Proven,
    upload: web::Path<String>,
) -> Result<web::Json<UploadJson>, ApiError> {
    let (upload, jobs) = state.ingest.upload(&caller, id(&upload)?).await?;
    Ok(web::Json(UploadJson::new(
        upload,
        jobs,
        &caller,
        &state.keys,
    )))
}

/// `DELETE /api/v1/uploads/{id}`
pub(crate) async fn remove(
    state: web::Data<State>,
    Proven(caller): Proven,
    upload: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    state.ingest.remove(&caller, id(&upload)?).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/v1/uploads/{id}/content`: the file, to be saved and never shown.
/// Its bytes are a stranger's: the type is fixed, the browser must not guess, and
/// should it show them all the same, it does so in a sandbox.
pub(crate) async fn content(
    state: web::Data<State>,
    Proven(caller): Proven,
    upload: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let (upload, bytes) = state.ingest.content(&caller, id(&upload)?).await?;
    let mut response = HttpResponse::Ok();
    response
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((header::CONTENT_DISPOSITION, attachment(&upload.name)))
        .insert_header((
            header::CONTENT_SECURITY_POLICY,
            "sandbox; default-src 'none'",
        ))
        .no_chunking(upload.stored.to_u64());
    if let Some(sha256) = upload.sha256 {
        response.insert_header((header::ETAG, format!("\"{sha256}\"")));
    }
    Ok(response.streaming(bytes))
}
