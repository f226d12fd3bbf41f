//! The table of all routes, and what every handler may reach.
//!
//! Read it top to bottom; what is not here is not served.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{ServiceFactory, ServiceRequest};
use actix_web::http::Method;
use actix_web::{App, HttpRequest, HttpResponse, Resource, Route, middleware, web};
use slipway_config::Settings;
use slipway_ingest::Ingest;
use slipway_realtime::Hub;
use tokio::sync::watch;

use crate::error::ApiError;
use crate::keys::Keys;
use crate::routes::{files, health, jobs, live, pages, plain, session, uploads};
use crate::{assets, trace};

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
    pub(crate) settings: Arc<Settings>,
    pub(crate) keys: Keys,
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
        .configure(routes)
        .default_service(web::to(nothing))
        .wrap(middleware::from_fn(trace::answer))
}

fn routes(config: &mut web::ServiceConfig) {
    use web::to;
    config
        // Health: no database for the first, no account for either.
        .service(at(
            "/healthz",
            [(GET, to(health::alive)), (HEAD, to(health::alive))],
        ))
        .service(at(
            "/readyz",
            [(GET, to(health::ready)), (HEAD, to(health::ready))],
        ))
        // Resumable uploads: tus 1.0.0 and the IETF draft.
        .service(at(
            "/files/",
            [(OPTIONS, to(files::options)), (POST, to(files::create))],
        ))
        .service(at(
            "/files",
            [(OPTIONS, to(files::options)), (POST, to(files::create))],
        ))
        .service(at(
            "/files/{key}",
            [
                (OPTIONS, to(files::options)),
                (HEAD, to(files::look)),
                (GET, to(files::show)),
                (PATCH, to(files::append)),
                (DELETE, to(files::remove)),
            ],
        ))
        // Uploads, their bytes and their jobs.
        .service(at("/api/v1/uploads", [(GET, to(uploads::list))]))
        .service(at(
            "/api/v1/uploads/{id}",
            [(GET, to(uploads::one)), (DELETE, to(uploads::remove))],
        ))
        .service(at(
            "/api/v1/uploads/{id}/content",
            [(GET, to(uploads::content)), (HEAD, to(uploads::content))],
        ))
        .service(at("/api/v1/jobs", [(GET, to(jobs::list))]))
        .service(at("/api/v1/jobs/{id}", [(GET, to(jobs::one))]))
        .service(at(
            "/api/v1/jobs/{id}/cancellation",
            [(POST, to(jobs::cancel))],
        ))
        .service(at("/api/v1/jobs/{id}/retry", [(POST, to(jobs::retry))]))
        // Signing in and out, for programs and for forms.
        .service(at(
            "/api/v1/session",
            [
                (POST, to(session::sign_in)),
                (DELETE, to(session::sign_out)),
            ],
        ))
        .service(at(
            "/sign-in",
            [(GET, to(pages::sign_in)), (POST, to(pages::sign_in_form))],
        ))
        .service(at("/sign-out", [(POST, to(pages::sign_out_form))]))
        // Progress.
        .service(at("/live", [(GET, to(live::live))]))
        // Pages and what they are made of.
        .service(at("/", [(GET, to(pages::uploads))]))
        .service(at("/uploads", [(POST, to(plain::post))]))
        .service(at(
            "/uploads/{id}",
            [(GET, to(pages::upload)), (PUT, to(plain::put))],
        ))
        .service(at(
            "/assets/{fingerprint}/{name}",
            [(GET, to(assets::asset))],
        ));
}

/// An address and what it takes; anything else is refused with the list.
fn at<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
    let allowed = routes
        .each_ref()
        .map(|(method, _)| method.as_str())
        .join(", ");
    let refuse = move || {
        let error = ApiError::method_not_allowed(&allowed);
        async { Err::<HttpResponse, _>(error) }
    };
    let resource = web::resource(path).default_service(web::to(refuse));
    routes
        .into_iter()
        .fold(resource, |resource, (method, route)| {
            resource.route(route.method(method))
        })
}

async fn nothing() -> Result<HttpResponse, ApiError> {
    Err(ApiError::no_such_page())
}
