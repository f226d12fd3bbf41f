//! The table of all routes, and what every handler may reach.
//!
//! Read it top to bottom; what is not here is not served.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::{ServiceFactory, ServiceRequest};
use actix_web::{App, HttpRequest, HttpResponse, guard, middleware, web};
use slipway_config::Settings;
use slipway_ingest::Ingest;
use slipway_realtime::Hub;
use tokio::sync::watch;

use crate::error::ApiError;
use crate::keys::Keys;
use crate::routes::{files, health, jobs, live, pages, session, uploads};
use crate::{assets, trace};

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
    config
        // Health: no database for the first, no account for either.
        .route("/healthz", web::get().to(health::alive))
        .route("/readyz", web::get().to(health::ready))
        // Resumable uploads: tus 1.0.0.
        .service(files_root("/files/"))
        .service(files_root("/files"))
        .service(
            web::resource("/files/{key}")
                .route(web::route().guard(guard::Options()).to(files::options))
                .route(web::head().to(files::look))
                .route(web::patch().to(files::append))
                .route(web::delete().to(files::remove)),
        )
        // Uploads, their bytes and their jobs.
        .route("/api/v1/uploads", web::get().to(uploads::list))
        .service(
            web::resource("/api/v1/uploads/{id}")
                .route(web::get().to(uploads::one))
                .route(web::delete().to(uploads::remove)),
        )
        .route(
            "/api/v1/uploads/{id}/content",
            web::get().to(uploads::content),
        )
        .route("/api/v1/jobs", web::get().to(jobs::list))
        .route("/api/v1/jobs/{id}", web::get().to(jobs::one))
        .route(
            "/api/v1/jobs/{id}/cancellation",
            web::post().to(jobs::cancel),
        )
        .route("/api/v1/jobs/{id}/retry", web::post().to(jobs::retry))
        // Signing in and out, for programs and for forms.
        .service(
            web::resource("/api/v1/session")
                .route(web::post().to(session::sign_in))
                .route(web::delete().to(session::sign_out)),
        )
        .service(
            web::resource("/sign-in")
                .route(web::get().to(pages::sign_in))
                .route(web::post().to(pages::sign_in_form)),
        )
        .route("/sign-out", web::post().to(pages::sign_out_form))
        // Progress.
        .route("/live", web::get().to(live::live))
        // Pages and what they are made of.
        .route("/", web::get().to(pages::uploads))
        .route("/uploads/{id}", web::get().to(pages::upload))
        .route("/assets/{fingerprint}/{name}", web::get().to(assets::asset));
}

fn files_root(path: &str) -> actix_web::Resource {
    web::resource(path)
        .route(web::route().guard(guard::Options()).to(files::options))
        .route(web::post().to(files::create))
}

async fn nothing() -> Result<HttpResponse, ApiError> {
    Err(ApiError::no_such_page())
}
