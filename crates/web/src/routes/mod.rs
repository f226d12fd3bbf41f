//! The handlers, one file a resource. None decides anything.

pub(crate) mod account;
pub(crate) mod accounts;
pub(crate) mod files;
pub(crate) mod health;
pub(crate) mod jobs;
pub(crate) mod live;
pub(crate) mod pages;
pub(crate) mod plain;
pub(crate) mod progress;
pub(crate) mod session;
pub(crate) mod uploads;

use std::str::FromStr;

use actix_web::HttpResponse;
use actix_web::http::header;
use slipway_core::Sha256Digest;

use crate::error::ApiError;

/// An id from a path or a query. One that is none names nothing.
fn id<T: FromStr>(text: &str) -> Result<T, ApiError> {
    text.parse().or(Err(ApiError::no_such_page()))
}

/// A digest from a path, in hexadecimal.
fn digest(text: &str) -> Result<Sha256Digest, ApiError> {
    text.parse().or(Err(ApiError::no_such_page()))
}

fn see_other(to: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, to))
        .finish()
}
