//! `/api/v1/uploads`: see, download and remove what was uploaded.

use actix_web::{HttpRequest, HttpResponse, web};
use serde::Deserialize;
use slipway_ingest::Listed;

use super::id;
use crate::app::State;
use crate::caller::Proven;
use crate::client::network;
use crate::download;
use crate::error::ApiError;
use crate::wire::{UploadJson, UploadList};

/// Which page of a list is asked for.
#[derive(Deserialize)]
pub(crate) struct Start {
    pub(crate) cursor: Option<String>,
    owner: Option<Owner>,
}

/// Of whom a list is, if not of whoever asks.
#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Owner {
    All,
}

impl Start {
    pub(crate) fn listed(&self) -> Listed {
        match self.owner {
            None => Listed::Own,
            Some(Owner::All) => Listed::All,
        }
    }
}

/// `GET /api/v1/uploads[?cursor=][&owner=all]`
pub(crate) async fn list(
    state: web::Data<State>,
    Proven(caller): Proven,
    start: web::Query<Start>,
) -> Result<web::Json<UploadList>, ApiError> {
    let after = start.cursor.as_deref().map(id).transpose()?;
    let page = state.ingest.uploads(&caller, start.listed(), after).await?;
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
    let twin = state.ingest.twin(&caller, &upload).await?;
    let json = UploadJson::new(upload, jobs, &caller, &state.keys);
    Ok(web::Json(json.with_twin(twin)))
}

/// `DELETE /api/v1/uploads/{id}`
pub(crate) async fn remove(
    request: HttpRequest,
    state: web::Data<State>,
    Proven(caller): Proven,
    upload: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let network = network(&request, &state.settings.server);
    let id = id(&upload)?;
    state.ingest.remove(&caller, network, id).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// `GET /api/v1/uploads/{id}/content`: the file, or parts of it.
pub(crate) async fn content(
    request: HttpRequest,
    state: web::Data<State>,
    Proven(caller): Proven,
    upload: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let upload = state.ingest.stored(&caller, id(&upload)?).await?;
    download::answer(&request, &state.ingest, &upload)
}
