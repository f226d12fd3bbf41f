//! `/files/`: resumable uploads, by tus 1.0.0 and by the IETF draft.
//!
//! Who speaks what is told by the headers, and where a request has none, by how its
//! upload began. `HEAD`, `PATCH` and `DELETE` need a key and no account, so that a
//! session that ends never ends an upload.

mod ietf;
mod tus;

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::{
    FromRequest, HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, rt, web,
};
use bytes::Bytes;
use futures_util::{Stream, stream};
use slipway_core::{ByteCount, UploadId, UploadState};
use slipway_ingest::{AppendError, By, Continuation, Landed, until};

use crate::app::State;
use crate::caller::Proven;
use crate::client::network;
use crate::cors;
use crate::error::ApiError;
use crate::ietf::{Dialect, PARTIAL_TYPE, UPLOAD_LIMIT, limit};
use crate::tus::{
    TUS_CHECKSUM_ALGORITHMS, TUS_EXTENSIONS, TUS_RESUMABLE, TUS_VERSION, UPLOAD_OFFSET, is_spoken,
};

/// What a `POST` may stand for, where something between a client and us takes no
/// other methods (tus 1.0.0, "X-HTTP-Method-Override").
const OVERRIDE: HeaderName = HeaderName::from_static("x-http-method-override");
const OVERRIDABLE: [Method; 3] = [Method::PATCH, Method::DELETE, Method::HEAD];

type Answer = Result<HttpResponse, ApiError>;
type AppState = web::Data<State>;

/// Whether a path is one of ours.
pub(crate) fn is_below(path: &str) -> bool {
    path == "/files" || path.starts_with("/files/")
}

/// Makes of a `POST` what it says it is.
pub(crate) fn override_method(request: &mut ServiceRequest) {
    if *request.method() != Method::POST || !is_below(request.path()) {
        return;
    }
    let said = request.headers().get(OVERRIDE).map(HeaderValue::as_bytes);
    let meant = OVERRIDABLE
        .into_iter()
        .find(|method| said == Some(method.as_str().as_bytes()));
    if let Some(method) = meant {
        request.head_mut().method = method;
    }
}

/// Adds what every answer here has, refusals included.
pub(crate) fn add_headers(request: &HttpRequest, headers: &mut HeaderMap) {
    if Dialect::of(request.headers()).is_none() || is_spoken(request.headers()) {
        headers.insert(TUS_RESUMABLE, HeaderValue::from_static(TUS_VERSION));
    }
    if let Ok(state) = State::of(request) {
        cors::add_headers(request, &state.settings.server.allowed_origins, headers);
    }
}

/// `OPTIONS /files/`: what is spoken here.
pub(crate) async fn options(state: AppState) -> HttpResponse {
    let max = state.ingest.bytes_max();
    HttpResponse::Ok()
        .insert_header((HeaderName::from_static("tus-version"), TUS_VERSION))
        .insert_header((HeaderName::from_static("tus-extension"), TUS_EXTENSIONS))
        .insert_header((HeaderName::from_static("tus-max-size"), max.to_string()))
        .insert_header((
            HeaderName::from_static("tus-checksum-algorithm"),
            TUS_CHECKSUM_ALGORITHMS,
        ))
        .insert_header((HeaderName::from_static("accept-patch"), PARTIAL_TYPE))
        .insert_header((UPLOAD_LIMIT, limit(max, None)))
        .finish()
}

/// `POST /files/`: announces a file and says where to send it.
pub(crate) async fn create(request: HttpRequest, state: AppState, body: web::Payload) -> Answer {
    if is_spoken(request.headers()) {
        return tus::create(&request, &state, body).await;
    }
    match Dialect::of(request.headers()) {
        Some(dialect) => ietf::create(dialect, &request, &state, body).await,
        None => Err(ApiError::tus_version()),
    }
}

/// `PATCH /files/{key}`: the next bytes.
pub(crate) async fn append(
    request: HttpRequest,
    state: AppState,
    key: web::Path<String>,
    body: web::Payload,
) -> Answer {
    if is_spoken(request.headers()) {
        return tus::append(&request, &state, &key, body).await;
    }
    match Dialect::of(request.headers()) {
        Some(dialect) => ietf::append(dialect, &request, &state, &key, body).await,
        None => Err(ApiError::tus_version()),
    }
}

/// `HEAD /files/{key}`: how far it is.
pub(crate) async fn look(request: HttpRequest, state: AppState, key: web::Path<String>) -> Answer {
    match spoken_of(&request, &state, &key).await? {
        None => tus::look(&request, &state, &key).await,
        Some(dialect) => ietf::look(dialect, &state, &key).await,
    }
}

/// `GET /files/{key}`: how far it is, without disturbing whoever sends it; of a
/// stored file, where its content is.
pub(crate) async fn show(request: HttpRequest, state: AppState, key: web::Path<String>) -> Answer {
    let id = opened(&state, &key)?;
    let upload = state.ingest.glance(id).await?;
    if upload.state == UploadState::Stored {
        return Ok(HttpResponse::TemporaryRedirect()
            .insert_header((header::LOCATION, content_url(id)))
            .finish());
    }
    let dialect = Dialect::of(request.headers()).unwrap_or(Dialect::newest());
    Ok(ietf::standing(dialect, &state, upload))
}

/// `DELETE /files/{key}`: gives it up.
pub(crate) async fn remove(
    request: HttpRequest,
    state: AppState,
    key: web::Path<String>,
) -> Answer {
    let dialect = spoken_of(&request, &state, &key).await?;
    if dialect.is_none() {
        crate::tus::require_version(request.headers())?;
    }
    let by = By::KeyHolder(network(&request, &state.settings.server));
    let id = opened(&state, &key)?;
    state.ingest.remove_by_key(id, Some(by)).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// What a request about an upload speaks; `None` is tus. A client of the draft need
/// not say anything to look at its upload or to give it up, so a request without a
/// word of either is of the draft if the upload is.
async fn spoken_of(
    request: &HttpRequest,
    state: &State,
    key: &str,
) -> Result<Option<Dialect>, ApiError> {
    if is_spoken(request.headers()) {
        return Ok(None);
    }
    if let Some(dialect) = Dialect::of(request.headers()) {
        return Ok(Some(dialect));
    }
    let upload = state.ingest.glance(opened(state, key)?).await?;
    if upload.explicit_end {
        Ok(Some(Dialect::newest()))
    } else {
        Err(ApiError::tus_version())
    }
}

/// Who announces a file.
async fn caller(request: &HttpRequest) -> Result<slipway_ingest::Caller, ApiError> {
    Ok(Proven::extract(request).await?.0)
}

/// Passes bytes on. In a task of its own: when the client vanishes, this request is
/// dropped, and what has arrived must be committed all the same.
async fn take_in(
    request: &HttpRequest,
    state: &AppState,
    id: UploadId,
    continuation: Continuation,
    body: web::Payload,
) -> Result<Landed, Refusal> {
    let state = state.clone();
    let body = kept(request, body);
    let taking = rt::spawn(async move {
        let body = until(body, state.left());
        let taken = state.ingest.append(id, continuation, body).await;
        match taken {
            Err(AppendError::Cut { have }) if *state.leaving.borrow() => {
                Err(Refusal::Leaving(have))
            }
            taken => taken.map_err(Refusal::Append),
        }
    });
    let taken = taking.await.map_err(anyhow::Error::from);
    taken.unwrap_or_else(|fault| Err(Refusal::Append(AppendError::Fault(fault))))
}

/// A body that is still there when its request is refused. Of one that nobody holds
/// any more actix-http reads on to the end, in chunks for as long as it takes; one
/// that is held makes it close the connection after the answer.
struct Kept {
    _body: Rc<RefCell<web::Payload>>,
}

/// The pieces of a body that [`close_unread`] can still find.
pub(crate) fn kept(
    request: &HttpRequest,
    body: web::Payload,
) -> impl Stream<Item = Result<Bytes, PayloadError>> + use<> {
    let body = Rc::new(RefCell::new(body));
    let _body = Rc::clone(&body);
    request.extensions_mut().insert(Kept { _body });
    stream::poll_fn(move |context| Pin::new(&mut *body.borrow_mut()).poll_next(context))
}

/// Lets go of a body that was read to its end.
pub(crate) fn let_go(request: &HttpRequest) {
    request.extensions_mut().remove::<Kept>();
}

/// The body of a refusal, and the body that was refused.
struct Closing {
    answer: BoxBody,
    _refused: Kept,
}

impl MessageBody for Closing {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.answer.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.answer).poll_next(context)
    }
}

/// Has the connection closed behind a refusal: a sender that has stalled would hold
/// it for ever.
pub(crate) fn close_unread(response: ServiceResponse) -> ServiceResponse {
    let kept = response.request().extensions_mut().remove::<Kept>();
    match kept {
        Some(_refused) if !response.status().is_success() => {
            response.map_body(|_, answer| BoxBody::new(Closing { answer, _refused }))
        }
        _ => response,
    }
}

/// Why bytes were not taken, or not all of them.
enum Refusal {
    /// This process is leaving; so many bytes are durable.
    Leaving(ByteCount),
    Append(AppendError),
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Leaving(have) => {
                Self::leaving().with(UPLOAD_OFFSET, HeaderValue::from(have.to_u64()))
            }
            Refusal::Append(error) => error.into(),
        }
    }
}

/// Refuses bytes while this process leaves.
fn require_staying(state: &State) -> Result<(), ApiError> {
    if *state.leaving.borrow() {
        return Err(ApiError::leaving());
    }
    Ok(())
}

fn opened(state: &State, key: &str) -> Result<UploadId, ApiError> {
    state.keys.check(key).ok_or_else(ApiError::no_such_page)
}

/// Where a stored file is.
fn content_url(id: UploadId) -> String {
    format!("/api/v1/uploads/{id}/content")
}

/// A header that is only sometimes there.
fn maybe(response: &mut HttpResponseBuilder, name: HeaderName, value: Option<String>) {
    if let Some(value) = value {
        response.insert_header((name, value));
    }
}
