//! The table of all routes with who may use them, and what every handler may reach.
//!
//! Read it top to bottom; what is not here is not served. It only names what a route
//! does: whether a caller may do that is decided in ingest, by the handler's use case.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{ServiceFactory, ServiceRequest};
use actix_web::http::Method;
use actix_web::{App, HttpRequest, HttpResponse, Resource, Route, middleware, web};
use slipway_config::Settings;
use slipway_core::Action;
use slipway_ingest::Ingest;
use slipway_realtime::{Hub, Waits};
use tokio::sync::watch;

use crate::error::ApiError;
use crate::keys::Keys;
use crate::limits::Limits;
use crate::routes::{
    account, accounts, files, health, jobs, live, pages, plain, progress, session, uploads,
};
use crate::{assets, openapi, trace};

const GET: Method = Method::GET;
const HEAD: Method = Method::HEAD;
const OPTIONS: Method = Method::OPTIONS;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const PATCH: Method = Method::PATCH;
const DELETE: Method = Method::DELETE;

/// Largest JSON or form body: an address, a password and a link.
const FORM_BYTES_MAX: usize = 16 * 1024;

/// What every handler may reach. One for the process.
#[derive(Clone)]
pub(crate) struct State {
    pub(crate) ingest: Ingest,
    pub(crate) hub: Hub,
    pub(crate) waits: Waits,
    pub(crate) settings: Arc<Settings>,
    pub(crate) keys: Keys,
    pub(crate) limits: Limits,
    /// Turns true when the process is leaving.
    pub(crate) leaving: watch::Receiver<bool>,
}

impl State {
    /// The state, for code that has only a request.
    pub(crate) fn of(request: &HttpRequest) -> Result<&web::Data<Self>, ApiError> {
        request
            .app_data::<web::Data<Self>>()
            .ok_or_else(|| anyhow::anyhow!("the application has no state").into())
    }

    /// Comes true when the process is leaving, and never otherwise.
    pub(crate) fn left(&self) -> impl Future<Output = ()> + use<> {
        let mut leaving = self.leaving.clone();
        async move {
            if leaving.wait_for(|leaving| *leaving).await.is_err() {
                // Whoever could tell us is gone without a word; keep serving.
                tokio::time::sleep(Duration::MAX).await;
            }
        }
    }
}

/// The application of one worker thread.
pub(crate) fn app(
    state: State,
) -> App<
    impl ServiceFactory<
        ServiceRequest,
        Config = (),
        Response = actix_web::dev::ServiceResponse,
        Error = actix_web::Error,
        InitError = (),
    >,
> {
    App::new()
        .app_data(web::Data::new(state))
        .app_data(web::FormConfig::default().limit(FORM_BYTES_MAX))
        .app_data(
            web::JsonConfig::default()
                .limit(FORM_BYTES_MAX)
                .error_handler(|error, _| {
                    ApiError::bad_request("body", format!("the body cannot be read: {error}"))
                        .into()
                }),
        )
        .configure(register)
        .default_service(web::to(nothing))
        .wrap(middleware::from_fn(trace::answer))
}

/// Who may send a request to a route.
#[derive(Debug, Clone, Copy)]
enum Access {
    /// Everybody, signed in or not.
    Everybody,
    /// Whoever has the key of an upload.
    Key,
    /// Whoever may do this, by the table in `ingest/access.rs`.
    To(Action),
}

use Access::{Everybody, Key, To};

/// A method of an address, who may use it, and what answers.
type Way = (Method, Access, Route);

/// An address with the methods that it takes.
type Address = (&'static str, Vec<Way>);

/// Every route: its method, its address, and who may use it.
pub fn routes() -> Vec<(String, &'static str, &'static str)> {
    let mut routes = Vec::new();
    for (path, ways) in table() {
        for (method, access, _) in ways {
            let access = match access {
                Everybody => "everybody",
                Key => "key",
                To(action) => action.as_str(),
            };
            routes.push((method.to_string(), path, access));
        }
    }
    routes
}

fn register(config: &mut web::ServiceConfig) {
    for (path, ways) in table() {
        config.service(at(path, ways));
    }
}

fn table() -> Vec<Address> {
    let mut table = health_routes();
    table.extend(file_routes());
    table.extend(api_routes());
    table.extend(live_routes());
    table.extend(page_routes());
    table.extend(people_routes());
    table
}

/// Health: no database for the first, no account for either.
fn health_routes() -> Vec<Address> {
    use web::to;
    vec![
        (
            "/healthz",
            vec![
                (GET, Everybody, to(health::alive)),
                (HEAD, Everybody, to(health::alive)),
            ],
        ),
        (
            "/readyz",
            vec![
                (GET, Everybody, to(health::ready)),
                (HEAD, Everybody, to(health::ready)),
            ],
        ),
    ]
}

/// Resumable uploads, tus 1.0.0 and the IETF draft; and the plain ways in.
fn file_routes() -> Vec<Address> {
    use web::to;
    let collection = || {
        vec![
            (OPTIONS, Everybody, to(files::options)),
            (POST, To(Action::UploadCreate), to(files::create)),
        ]
    };
    vec![
        ("/files/", collection()),
        ("/files", collection()),
        (
            "/files/{key}",
            vec![
                (OPTIONS, Everybody, to(files::options)),
                (HEAD, Key, to(files::look)),
                (GET, Key, to(files::show)),
                (PATCH, Key, to(files::append)),
                (DELETE, Key, to(files::remove)),
            ],
        ),
        (
            "/uploads",
            vec![(POST, To(Action::UploadCreate), to(plain::post))],
        ),
        (
            "/uploads/{id}",
            vec![
                (GET, To(Action::UploadSee), to(pages::upload)),
                (PUT, To(Action::UploadCreate), to(plain::put)),
            ],
        ),
    ]
}

/// For programs: uploads, their bytes and their jobs, signing in and out.
fn api_routes() -> Vec<Address> {
    use web::to;
    vec![
        (
            "/api/v1/uploads",
            vec![(GET, To(Action::UploadList), to(uploads::list))],
        ),
        (
            "/api/v1/uploads/{id}",
            vec![
                (GET, To(Action::UploadSee), to(uploads::one)),
                (DELETE, To(Action::UploadRemove), to(uploads::remove)),
            ],
        ),
        (
            "/api/v1/uploads/{id}/content",
            vec![
                (GET, To(Action::UploadDownload), to(uploads::content)),
                (HEAD, To(Action::UploadDownload), to(uploads::content)),
            ],
        ),
        (
            "/api/v1/jobs",
            vec![(GET, To(Action::JobList), to(jobs::list))],
        ),
        (
            "/api/v1/jobs/{id}",
            vec![(GET, To(Action::JobSee), to(jobs::one))],
        ),
        (
            "/api/v1/jobs/{id}/cancellation",
            vec![(POST, To(Action::JobChange), to(jobs::cancel))],
        ),
        (
            "/api/v1/jobs/{id}/retry",
            vec![(POST, To(Action::JobChange), to(jobs::retry))],
        ),
        (
            "/api/v1/openapi.json",
            vec![(GET, Everybody, to(openapi::openapi))],
        ),
        (
            "/api/v1/session",
            vec![
                (POST, Everybody, to(session::sign_in)),
                (DELETE, Everybody, to(session::sign_out)),
            ],
        ),
    ]
}

/// Pages, their forms, and what they are made of.
fn page_routes() -> Vec<Address> {
    use web::to;
    vec![
        ("/", vec![(GET, To(Action::UploadList), to(pages::uploads))]),
        (
            "/sign-in",
            vec![
                (GET, Everybody, to(pages::sign_in)),
                (POST, Everybody, to(pages::sign_in_form)),
            ],
        ),
        (
            "/sign-out",
            vec![(POST, Everybody, to(pages::sign_out_form))],
        ),
        (
            "/assets/{fingerprint}/{name}",
            vec![(GET, Everybody, to(assets::asset))],
        ),
    ]
}

/// Progress: one state, three ways to follow it.
fn live_routes() -> Vec<Address> {
    use web::to;
    vec![
        (
            "/live",
            vec![(GET, To(Action::ProgressFollow), to(live::live))],
        ),
        (
            "/api/v1/asyncapi.json",
            vec![(GET, Everybody, to(live::describe))],
        ),
        (
            "/api/v1/progress/{topic}",
            vec![(GET, To(Action::ProgressFollow), to(progress::wait))],
        ),
        (
            "/api/v1/progress/{topic}/events",
            vec![(GET, To(Action::ProgressFollow), to(progress::stream))],
        ),
    ]
}

/// Pages about people, and their forms: one's own account, and everybody's.
fn people_routes() -> Vec<Address> {
    use web::to;
    let change = |route: Route| vec![(POST, To(Action::AccountChange), route)];
    let manage = |route: Route| vec![(POST, To(Action::AccountsManage), route)];
    vec![
        (
            "/account",
            vec![(GET, To(Action::AccountSee), to(account::show))],
        ),
        (
            "/account/sessions/revocation",
            change(to(account::end_sessions)),
        ),
        (
            "/account/sessions/{id}/revocation",
            change(to(account::end_session)),
        ),
        ("/account/password", change(to(account::password))),
        ("/account/tokens", change(to(account::make_token))),
        (
            "/account/tokens/{id}/revocation",
            change(to(account::revoke_token)),
        ),
        (
            "/accounts",
            vec![
                (GET, To(Action::AccountsManage), to(accounts::list)),
                (POST, To(Action::AccountsManage), to(accounts::invite)),
            ],
        ),
        ("/accounts/link", manage(to(accounts::link))),
        ("/accounts/disabled", manage(to(accounts::disable))),
        ("/accounts/enabled", manage(to(accounts::enable))),
        ("/accounts/role", manage(to(accounts::set_role))),
        (
            "/audit",
            vec![(GET, To(Action::AuditSee), to(accounts::audit))],
        ),
    ]
}

/// An address and what it takes; anything else is refused with the list.
fn at(path: &str, ways: Vec<Way>) -> Resource {
    let allowed: Vec<&str> = ways.iter().map(|(method, ..)| method.as_str()).collect();
    let allowed = allowed.join(", ");
    let refuse = move || {
        let error = ApiError::method_not_allowed(&allowed);
        async { Err::<HttpResponse, _>(error) }
    };
    let resource = web::resource(path).default_service(web::to(refuse));
    ways.into_iter()
        .fold(resource, |resource, (method, _, route)| {
            resource.route(route.method(method))
        })
}

async fn nothing() -> Result<HttpResponse, ApiError> {
    Err(ApiError::no_such_page())
}
