//! `/files/` by tus 1.0.0.

use actix_web::http::header::{self, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use slipway_core::UploadState;
use slipway_ingest::{Caller, Continuation, Ending, Landed, NewFile, Offset, Upload};

use super::{Answer, AppState, caller, maybe, opened, require_staying, take_in};
use crate::error::ApiError;
use crate::tus::{
    Body, Concat, UPLOAD_CONCAT, UPLOAD_DEFER_LENGTH, UPLOAD_EXPIRES, UPLOAD_LENGTH,
    UPLOAD_METADATA, UPLOAD_OFFSET, announcement, chunk_start, date, invalid_concat,
    require_version,
};
use crate::wire::key_url;

/// `POST /files/`: announces a file, with its first bytes if there are any.
pub(super) async fn create(request: &HttpRequest, state: &AppState, body: web::Payload) -> Answer {
    require_version(request.headers())?;
    let caller = caller(request).await?;
    let announced = announcement(request.headers())?;
    let file = NewFile {
        name: announced.metadata.name.unwrap_or_default(),
        media_type: announced.metadata.media_type,
        metadata: announced.metadata.raw,
        total: announced.length,
        explicit_end: false,
        concat: announced
            .concat
            .as_ref()
            .map(|concat| concat.raw().to_owned()),
        expected: announced.metadata.sha256,
    };
    if let Some(Concat::Final { keys, .. }) = announced.concat {
        return create_final(state, &caller, file, keys).await;
    }
    if announced.body.is_some() {
        require_staying(state)?;
    }
    let upload = state.ingest.create(&caller, file).await?;
    let place = key_url(&state.keys, upload.id);
    let (stored, expires_at) = match announced.body {
        None => (upload.stored, upload.expires_at),
        Some(first) => match first_bytes(request, state, &upload, first, body).await {
            Ok(landed) => (landed.stored, landed.expires_at),
            // There is an upload now; whoever still listens can go on with it.
            Err(error) => return Err(with_place(error, &place)),
        },
    };
    let mut response = HttpResponse::Created();
    response
        .insert_header((header::LOCATION, place))
        .insert_header((UPLOAD_OFFSET, stored.to_string()));
    maybe(&mut response, UPLOAD_EXPIRES, expires_at.map(date));
    Ok(response.finish())
}

/// `POST /files/` of a file that is put together from others.
async fn create_final(
    state: &AppState,
    caller: &Caller,
    file: NewFile,
    keys: Vec<String>,
) -> Answer {
    let parts: Option<Vec<_>> = keys.iter().map(|key| state.keys.check(key)).collect();
    let parts = parts.ok_or_else(|| invalid_concat("an address is not one of an upload here"))?;
    let upload = state.ingest.create_final(caller, file, parts).await?;
    let mut response = HttpResponse::Created();
    response.insert_header((header::LOCATION, key_url(&state.keys, upload.id)));
    maybe(&mut response, UPLOAD_EXPIRES, upload.expires_at.map(date));
    Ok(response.finish())
}

async fn first_bytes(
    request: &HttpRequest,
    state: &AppState,
    upload: &Upload,
    first: Body,
    body: web::Payload,
) -> Result<Landed, ApiError> {
    let continuation = Continuation {
        announced: first.length,
        expected: first.expected,
        ..Continuation::default()
    };
    Ok(take_in(request, state, upload.id, continuation, body).await?)
}

pub(super) fn with_place(error: ApiError, place: &str) -> ApiError {
    match HeaderValue::from_str(place) {
        Ok(place) => error.with(header::LOCATION, place),
        Err(_) => error,
    }
}

/// `HEAD /files/{key}`: how far it is.
pub(super) async fn look(request: &HttpRequest, state: &AppState, key: &str) -> Answer {
    require_version(request.headers())?;
    let upload = state.ingest.offset(opened(state, key)?).await?;
    let mut response = HttpResponse::Ok();
    // Of a file that is put together an offset would promise what nobody may send
    // (tus 1.0.0, "Concatenation").
    let told = !upload.is_final() || upload.state == UploadState::Stored;
    let offset = told.then(|| upload.stored.to_string());
    maybe(&mut response, UPLOAD_OFFSET, offset);
    match upload.total {
        Some(total) => response.insert_header((UPLOAD_LENGTH, total.to_string())),
        None if upload.is_final() => &mut response,
        None => response.insert_header((UPLOAD_DEFER_LENGTH, "1")),
    };
    maybe(&mut response, UPLOAD_EXPIRES, expiry(&upload));
    maybe(&mut response, UPLOAD_CONCAT, upload.concat);
    let metadata = Some(upload.metadata).filter(|metadata| !metadata.is_empty());
    maybe(&mut response, UPLOAD_METADATA, metadata);
    Ok(response.finish())
}

/// `PATCH /files/{key}`: the next bytes.
pub(super) async fn append(
    request: &HttpRequest,
    state: &AppState,
    key: &str,
    body: web::Payload,
) -> Answer {
    require_version(request.headers())?;
    let id = opened(state, key)?;
    let start = chunk_start(request.headers())?;
    require_staying(state)?;
    let continuation = Continuation {
        from: start.offset,
        announced: start.length,
        total: start.total,
        end: Ending::BySize,
        expected: start.expected,
    };
    let landed = take_in(request, state, id, continuation, body).await?;
    let mut response = HttpResponse::NoContent();
    response.insert_header((UPLOAD_OFFSET, landed.stored.to_string()));
    maybe(&mut response, UPLOAD_EXPIRES, landed.expires_at.map(date));
    Ok(response.finish())
}

/// Until when an unfinished upload waits for its sender.
fn expiry(upload: &Offset) -> Option<String> {
    let unfinished = upload.state == UploadState::Receiving;
    upload.expires_at.filter(|_| unfinished).map(date)
}
