//! `GET /live`: progress over a WebSocket, by `slipway.progress.v1`.
//!
//! Who may come in is decided before the upgrade, and for every topic again.

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, rt, web};
use slipway_core::{Action, Topic};
use slipway_ingest::Caller;
use slipway_realtime::{Gatekeeper, SUBPROTOCOL, Verdict, asyncapi, serve};

use crate::app::State;
use crate::caller::{Proven, identify};
use crate::error::ApiError;

/// Upgrades the connection and serves it.
pub(crate) async fn live(
    request: HttpRequest,
    state: web::Data<State>,
    Proven(caller): Proven,
    body: web::Payload,
) -> Result<HttpResponse, ApiError> {
    caller.may(Action::ProgressFollow)?;
    if !offers_protocol(&request) {
        return Err(ApiError::bad_request(
            "subprotocol",
            format!("offer the WebSocket subprotocol {SUBPROTOCOL}"),
        ));
    }
    let (response, session, stream) =
        actix_ws::handle_with_protocols(&request, body, &[SUBPROTOCOL]).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "upgrade",
                format!("no WebSocket: {error}"),
            )
        })?;
    let hub = state.hub.clone();
    let door = Door::new(state, caller, request);
    rt::spawn(serve(hub, session, stream, Box::new(door)));
    Ok(response)
}

/// `GET /api/v1/asyncapi.json`: what is spoken there, for everybody.
pub(crate) async fn describe() -> HttpResponse {
    HttpResponse::Ok().json(asyncapi())
}

/// Keeps the door for one viewer.
pub(super) struct Door {
    state: web::Data<State>,
    caller: Caller,
    request: HttpRequest,
}

impl Door {
    pub(super) fn new(state: web::Data<State>, caller: Caller, request: HttpRequest) -> Self {
        Self {
            state,
            caller,
            request,
        }
    }
}

impl Gatekeeper for Door {
    fn may_follow(&self, topic: Topic) -> Verdict {
        let (state, caller) = (self.state.clone(), self.caller.clone());
        Box::pin(async move {
            state
                .ingest
                .may_follow(&caller, topic)
                .await
                .map_err(|fault| {
                    tracing::warn!(
                        fault = format!("{fault:#}"),
                        "cannot tell who may follow {topic}"
                    );
                })
        })
    }

    fn is_welcome(&self) -> Verdict {
        let (request, id) = (self.request.clone(), self.caller.id());
        Box::pin(async move {
            match identify(&request).await {
                Ok(caller) => Ok(caller.is_some_and(|caller| caller.id() == id)),
                // It could not be told; the next time will do.
                Err(_) => Err(()),
            }
        })
    }
}

fn offers_protocol(request: &HttpRequest) -> bool {
    request
        .headers()
        .get_all("sec-websocket-protocol")
        .any(|value| {
            value
                .to_str()
                .is_ok_and(|offer| offer.split(',').any(|name| name.trim() == SUBPROTOCOL))
        })
}
