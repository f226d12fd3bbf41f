//! Every status code for something that did not work, and the words that go with
//! it: the only file that knows both refusals and HTTP.
//!
//! It never shows a fault: whoever asked gets the request's id, and the log the
//! story under the same id.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{
    ALLOW, CONTENT_RANGE, ETAG, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use actix_web::{HttpResponse, ResponseError};
use slipway_ingest::{
    AccountError, AppendError, ContentError, CreateError, Denied, JobError, NoRoom, ReadError,
    SignInError, TokenError,
};

use slipway_realtime::NoPlace;

use crate::tus::{TUS_VERSION, UPLOAD_OFFSET};

/// Seconds after which a busy server is worth another try.
const BUSY_RETRY_SECONDS: u16 = 2;

/// Seconds after which there may be room for a file: somebody has to make it.
const ROOM_RETRY_SECONDS: u16 = 60;

/// An answer that is not what was asked for. How it is rendered, as a page or as
/// problem+json, is decided where the request is known: in `trace.rs`.
#[derive(Debug)]
pub(crate) struct ApiError {
    pub(crate) status: StatusCode,
    /// Stable and documented: what programs compare.
    pub(crate) code: &'static str,
    pub(crate) detail: String,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// The type of the problem, where it is registered (RFC 9457 section 4.2).
    pub(crate) kind: Option<&'static str>,
    /// What a problem of that type says beyond its members.
    pub(crate) members: Vec<(&'static str, u64)>,
    pub(crate) fault: Option<anyhow::Error>,
}

impl ApiError {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            headers: Vec::new(),
            kind: None,
            members: Vec::new(),
            fault: None,
        }
    }

    pub(crate) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// As a problem of a registered type.
    pub(crate) fn of_type(mut self, kind: &'static str) -> Self {
        self.kind = Some(kind);
        self
    }

    pub(crate) fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub(crate) fn no_such_page() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "there is nothing at this address",
        )
    }

    /// With the methods that are (RFC 9110 section 15.5.6).
    pub(crate) fn method_not_allowed(allowed: &str) -> Self {
        let detail = format!("this address takes {allowed}");
        let error = Self::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail);
        let allowed = HeaderValue::try_from(allowed);
        error.with(ALLOW, allowed.unwrap_or(HeaderValue::from_static("")))
    }

    pub(crate) fn not_signed_in() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "not_signed_in",
            "sign in, or send a bearer token",
        )
        .with(
            actix_web::http::header::WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer"),
        )
    }

    /// Sends a person to the sign-in page and back to `next` afterwards.
    pub(crate) fn sign_in_first(next: &str) -> Self {
        let next = percent_encoding::utf8_percent_encode(next, percent_encoding::NON_ALPHANUMERIC);
        let to = HeaderValue::try_from(format!("/sign-in?next={next}"));
        let error = Self::new(StatusCode::SEE_OTHER, "not_signed_in", "sign in first");
        error.with(LOCATION, to.unwrap_or(HeaderValue::from_static("/sign-in")))
    }

    pub(crate) fn cross_site() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "cross_site",
            "this request came from another site",
        )
    }

    /// The request speaks another version of tus, or none (tus 1.0.0, "Tus-Version").
    pub(crate) fn tus_version() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "tus_version",
            "send the header \"Tus-Resumable: 1.0.0\"",
        )
        .with(
            HeaderName::from_static("tus-version"),
            HeaderValue::from_static(TUS_VERSION),
        )
    }

    /// A file arrived that nobody can go on with, and not whole.
    pub(crate) fn cut() -> Self {
        let detail = "the connection broke before the end of the file; nothing of it was kept";
        Self::bad_request("cut", detail)
    }

    /// The body is no form with files.
    pub(crate) fn not_a_form() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "content_type",
            "send a form as multipart/form-data, or the file itself by PUT /uploads/NAME",
        )
    }

    fn wrong_file(detail: String) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "wrong_file", detail)
    }

    /// The file is not the one that the client wants (RFC 9110 section 13.1.1).
    pub(crate) fn changed(tag: &str) -> Self {
        let error = Self::new(
            StatusCode::PRECONDITION_FAILED,
            "changed",
            "this file is not the one that is asked for",
        );
        match HeaderValue::try_from(tag) {
            Ok(tag) => error.with(ETAG, tag),
            Err(_) => error,
        }
    }

    /// No byte of the file is asked for (RFC 9110 section 15.5.17).
    pub(crate) fn outside(size: u64) -> Self {
        let error = Self::new(
            StatusCode::RANGE_NOT_SATISFIABLE,
            "outside",
            format!("the file has {size} bytes, and none of them is asked for"),
        );
        match HeaderValue::try_from(format!("bytes */{size}")) {
            Ok(range) => error.with(CONTENT_RANGE, range),
            Err(_) => error,
        }
    }

    /// Asked for by a name that is not ours (RFC 9110 section 15.5.20).
    pub(crate) fn wrong_host() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host",
            "this site does not go by that name; `server.hosts` lists its names",
        )
    }

    /// What it asks for is only to be had over TLS.
    pub(crate) fn needs_tls() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "https",
            "use https; what this request carried was sent in the clear, so change any token in it",
        )
    }

    /// What it asks for is somewhere else.
    pub(crate) fn elsewhere(status: StatusCode, to: &str) -> Self {
        let error = Self::new(status, "elsewhere", "this is somewhere else");
        match HeaderValue::try_from(to) {
            Ok(to) => error.with(LOCATION, to),
            Err(_) => Self::no_such_page(),
        }
    }

    /// One network asks too often (RFC 6585 section 4).
    pub(crate) fn too_many_requests(seconds: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "too_many_requests",
            format!("too many requests from your network; try again in {seconds} s"),
        )
        .with(RETRY_AFTER, HeaderValue::from(seconds))
    }

    /// A small body that takes too long.
    pub(crate) fn too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "too_slow",
            "the request took too long to arrive",
        )
    }

    /// This process goes; another, or its successor, takes the bytes.
    pub(crate) fn leaving() -> Self {
        let error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "leaving",
            "this server is restarting",
        );
        error.with(RETRY_AFTER, HeaderValue::from(BUSY_RETRY_SECONDS))
    }

    /// It cannot be told now.
    pub(crate) fn busy() -> Self {
        let error = Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "busy",
            "the server is busy; try again in a moment",
        );
        error.with(RETRY_AFTER, HeaderValue::from(BUSY_RETRY_SECONDS))
    }

    fn fault(detail: &'static str, fault: anyhow::Error) -> Self {
        if slipway_ingest::is_busy(&fault) {
            return Self {
                fault: Some(fault),
                ..Self::busy()
            };
        }
        let error = Self::new(StatusCode::INTERNAL_SERVER_ERROR, "fault", detail);
        Self {
            fault: Some(fault),
            ..error
        }
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for ApiError {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse<BoxBody> {
        let mut response = HttpResponse::new(self.status);
        for (name, value) in &self.headers {
            response.headers_mut().insert(name.clone(), value.clone());
        }
        response
    }
}

impl From<anyhow::Error> for ApiError {
    fn from(fault: anyhow::Error) -> Self {
        Self::fault("something broke on our side", fault)
    }
}

impl From<Denied> for ApiError {
    fn from(why: Denied) -> Self {
        let code = match why {
            Denied::Scope(_) => "scope",
            Denied::Role => "role",
            Denied::Person => "person",
        };
        Self::new(StatusCode::FORBIDDEN, code, why.to_string())
    }
}

impl From<NoPlace> for ApiError {
    fn from(why: NoPlace) -> Self {
        let status = match why {
            NoPlace::Process => StatusCode::SERVICE_UNAVAILABLE,
            NoPlace::Account => StatusCode::TOO_MANY_REQUESTS,
        };
        let error = Self::new(status, "too_many_waits", why.to_string());
        error.with(RETRY_AFTER, HeaderValue::from(BUSY_RETRY_SECONDS))
    }
}

impl From<CreateError> for ApiError {
    fn from(error: CreateError) -> Self {
        let detail = error.to_string();
        match error {
            CreateError::NotAllowed(why) => why.into(),
            CreateError::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
            }
            CreateError::NoRoom(why) => why.into(),
            CreateError::WrongFile { .. } => Self::wrong_file(detail),
            CreateError::NoSuchPart => Self::bad_request("upload_concat", detail),
            CreateError::Fault(fault) => Self::fault("the upload could not be created", fault),
        }
    }
}

impl From<NoRoom> for ApiError {
    fn from(why: NoRoom) -> Self {
        let detail = why.to_string();
        let later = HeaderValue::from(ROOM_RETRY_SECONDS);
        match why {
            NoRoom::Account { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "account_full", detail)
            }
            // Clients try again later, and by then some may be complete.
            NoRoom::Open { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_open", detail)
                    .with(RETRY_AFTER, later)
            }
            NoRoom::Store { .. } | NoRoom::Disk => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "store_full", detail)
                    .with(RETRY_AFTER, later)
            }
        }
    }
}

impl From<AppendError> for ApiError {
    fn from(error: AppendError) -> Self {
        let detail = error.to_string();
        match error {
            AppendError::Missing => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            AppendError::Gone => Self::new(StatusCode::GONE, "gone", detail),
            AppendError::Failed(_) => Self::new(StatusCode::CONFLICT, "failed", detail),
            AppendError::WrongOffset { have, .. } => {
                Self::new(StatusCode::CONFLICT, "wrong_offset", detail)
                    .with(UPLOAD_OFFSET, HeaderValue::from(have.to_u64()))
            }
            AppendError::TooLong { have, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", detail)
                    .with(UPLOAD_OFFSET, HeaderValue::from(have.to_u64()))
            }
            AppendError::OtherSize { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "inconsistent_length", detail)
            }
            AppendError::TooLarge { have, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
                    .with(UPLOAD_OFFSET, HeaderValue::from(have.to_u64()))
            }
            AppendError::Complete { have, .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_long", detail)
                    .with(UPLOAD_OFFSET, HeaderValue::from(have.to_u64()))
            }
            // A status of tus alone; it is in no registry.
            AppendError::WrongChecksum => Self::new(
                StatusCode::from_u16(460).unwrap_or(StatusCode::BAD_REQUEST),
                "checksum",
                detail,
            ),
            AppendError::Final => Self::new(StatusCode::FORBIDDEN, "final", detail),
            AppendError::WrongFile { .. } => Self::wrong_file(detail),
            AppendError::NoRoom { why, have } => {
                Self::from(why).with(UPLOAD_OFFSET, HeaderValue::from(have.to_u64()))
            }
            // Clients retry this one, and by then the row tells who goes on.
            AppendError::Superseded => Self::new(StatusCode::LOCKED, "superseded", detail),
            // Hardly anybody is there to read it; a 5xx makes whoever is try again.
            AppendError::Cut { have } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "cut", detail)
                .with(UPLOAD_OFFSET, HeaderValue::from(have.to_u64())),
            AppendError::Fault(fault) => Self::fault("the bytes could not be stored", fault),
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let detail = error.to_string();
        match error {
            ReadError::Missing => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            ReadError::Gone => Self::new(StatusCode::GONE, "gone", detail),
            ReadError::NotAllowed(why) => why.into(),
            ReadError::Fault(fault) => Self::fault("it could not be read", fault),
        }
    }
}

impl From<ContentError> for ApiError {
    fn from(error: ContentError) -> Self {
        match error {
            ContentError::Read(error) => error.into(),
            ContentError::NotStored(_) => {
                Self::new(StatusCode::CONFLICT, "not_stored", error.to_string())
            }
        }
    }
}

impl From<JobError> for ApiError {
    fn from(error: JobError) -> Self {
        let detail = error.to_string();
        match error {
            JobError::Missing => Self::new(StatusCode::NOT_FOUND, "not_found", detail),
            JobError::NotNow(_) => Self::new(StatusCode::CONFLICT, "not_now", detail),
            JobError::NotAllowed(why) => why.into(),
            JobError::Fault(fault) => Self::fault("the job could not be changed", fault),
        }
    }
}

impl From<AccountError> for ApiError {
    fn from(error: AccountError) -> Self {
        let detail = error.to_string();
        let unsound = |code| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail.clone());
        match error {
            AccountError::NotAllowed(why) => why.into(),
            AccountError::InvalidEmail(_) => unsound("email"),
            AccountError::Missing(_) => unsound("no_account"),
            AccountError::PasswordLength(_) | AccountError::WrongPassword => unsound("password"),
            AccountError::Exists(_) => Self::new(StatusCode::CONFLICT, "exists", detail),
            AccountError::LastAdministrator(_) => {
                Self::new(StatusCode::CONFLICT, "last_administrator", detail)
            }
            AccountError::Fault(fault) => Self::fault("the account could not be changed", fault),
        }
    }
}

impl From<TokenError> for ApiError {
    fn from(error: TokenError) -> Self {
        let detail = error.to_string();
        let unsound = |code| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, detail.clone());
        match error {
            TokenError::NotAllowed(why) => why.into(),
            TokenError::NoAccount(_) => unsound("no_account"),
            TokenError::Unsound(_) => unsound("token"),
            TokenError::Fault(fault) => Self::fault("the token could not be made", fault),
        }
    }
}

impl From<SignInError> for ApiError {
    fn from(error: SignInError) -> Self {
        let detail = error.to_string();
        match error {
            SignInError::Wrong => Self::new(StatusCode::UNAUTHORIZED, "wrong_password", detail),
            SignInError::SpentLink => Self::new(StatusCode::UNAUTHORIZED, "spent_link", detail),
            SignInError::Password(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "password", detail)
            }
            SignInError::Halted { seconds } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", detail)
                    .with(RETRY_AFTER, HeaderValue::from(seconds))
            }
            SignInError::Fault(fault) => Self::fault("signing in failed", fault),
        }
    }
}
