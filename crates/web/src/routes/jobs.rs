//! `/api/v1/jobs`: see, cancel and retry work.

use actix_web::web;

use super::id;
use super::uploads::Start;
use crate::app::State;
use crate::caller::Proven;
use crate::error::ApiError;
use crate::wire::{JobJson, JobList};

/// `GET /api/v1/jobs[?cursor=][&owner=all]`
pub(crate) async fn list(
    state: web::Data<State>,
    Proven(caller): Proven,
    start: web::Query<Start>,
) -> Result<web::Json<JobList>, ApiError> {
    let after = start.cursor.as_deref().map(id).transpose()?;
    let page = state.ingest.jobs(&caller, start.listed(), after).await?;
    let jobs = page.entries.into_iter().map(JobJson::from).collect();
    Ok(web::Json(JobList {
        jobs,
        next_cursor: page.next.map(|id| id.to_string()),
    }))
}

/// `GET /api/v1/jobs/{id}`
pub(crate) async fn one(
    state: web::Data<State>,
    Proven(caller): Proven,
    job: web::Path<String>,
) -> Result<web::Json<JobJson>, ApiError> {
    Ok(web::Json(
        state.ingest.job(&caller, id(&job)?).await?.into(),
    ))
}

/// `POST /api/v1/jobs/{id}/cancellation`
pub(crate) async fn cancel(
    state: web::Data<State>,
    Proven(caller): Proven,
    job: web::Path<String>,
) -> Result<web::Json<JobJson>, ApiError> {
    Ok(web::Json(
        state.ingest.cancel_job(&caller, id(&job)?).await?.into(),
    ))
}

/// `POST /api/v1/jobs/{id}/retry`
pub(crate) async fn retry(
    state: web::Data<State>,
    Proven(caller): Proven,
    job: web::Path<String>,
) -> Result<web::Json<JobJson>, ApiError> {
    Ok(web::Json(
        state.ingest.retry_job(&caller, id(&job)?).await?.into(),
    ))
}
