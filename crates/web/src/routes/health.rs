//! `/healthz` and `/readyz`: whether the process is alive, and whether it can work.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use schemars::JsonSchema;
use serde::Serialize;

use crate::app::State;

/// Whether this process can work, check by check.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Readiness {
    status: &'static str,
    checks: BTreeMap<&'static str, String>,
}

/// `GET /healthz`: touches nothing, so that a database that is away does not get
/// a healthy process killed.
pub(crate) async fn alive() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .body("ok")
}

/// `GET /readyz`
pub(crate) async fn ready(state: web::Data<State>) -> HttpResponse {
    let mut checks = BTreeMap::from([
        ("database", "ok".to_owned()),
        ("migrations", "ok".to_owned()),
    ]);
    let obstacles = state.ingest.obstacles().await;
    let leaving = *state.leaving.borrow();
    let ready = obstacles.is_empty() && !leaving;
    for (check, obstacle) in obstacles {
        if check == "database" {
            // Nothing is known about the schema of a database that is away.
            checks.insert("migrations", "unknown".to_owned());
        }
        checks.insert(check, obstacle);
    }
    if leaving {
        checks.insert("process", "leaving".to_owned());
    }
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    let word = if ready { "ready" } else { "unavailable" };
    HttpResponse::build(status).json(Readiness {
        status: word,
        checks,
    })
}
