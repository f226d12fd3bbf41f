//! `GET /live`: progress over a WebSocket, by `slipway.progress.v1`.
//!
//! Who may come in is decided before the upgrade, and for every topic again.

use std::cell::RefCell;
use std::rc::Rc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, rt, web};
use slipway_core::{Action, Topic};
use slipway_ingest::Caller;
use slipway_realtime::{Gatekeeper, SUBPROTOCOL, Standing, Verdict, asyncapi, serve};

use crate::app::State;
use crate::caller::{Proven, Shown, shown};
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
    let upgraded =
        actix_ws::handle_with_protocols(&request, body, &[SUBPROTOCOL]).map_err(|error| {
            ApiError::new(
                StatusCode::BAD_REQUEST,
                "upgrade",
                format!("no WebSocket: {error}"),
            )
        })?;
    let hub = state.hub.clone();
    let door = Door::new(state, caller, &request)?;
    let (response, talk) = serve(hub, upgraded, Box::new(door));
    rt::spawn(talk);
    Ok(response)
}

/// `GET /api/v1/asyncapi.json`: what is spoken there, for everybody.
pub(crate) async fn describe() -> HttpResponse {
    HttpResponse::Ok().json(asyncapi())
}

/// Keeps the door for one viewer.
pub(super) struct Door {
    state: web::Data<State>,
    /// As they were when last asked.
    caller: Rc<RefCell<Caller>>,
    shown: Rc<Shown>,
}

impl Door {
    /// Keeps what the request shows and not the request: its headers would stay in
    /// memory for as long as the viewer does.
    pub(super) fn new(
        state: web::Data<State>,
        caller: Caller,
        request: &HttpRequest,
    ) -> Result<Self, ApiError> {
        Ok(Self {
            state,
            caller: Rc::new(RefCell::new(caller)),
            shown: Rc::new(shown(request)?.ok_or_else(ApiError::not_signed_in)?),
        })
    }
}

impl Gatekeeper for Door {
    fn may_follow(&self, topic: Topic) -> Verdict<bool> {
        let (state, caller) = (self.state.clone(), self.caller.borrow().clone());
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

    fn standing(&self) -> Verdict<Standing> {
        let (shown, known) = (Rc::clone(&self.shown), Rc::clone(&self.caller));
        let state = self.state.clone();
        Box::pin(async move {
            // What could not be told will be the next time.
            let found = shown.caller(&state).await.or(Err(()))?;
            let mut known = known.borrow_mut();
            Ok(match found {
                Some(caller) if caller == *known => Standing::Same,
                Some(caller) if caller.id() == known.id() => {
                    *known = caller;
                    Standing::Changed
                }
                _ => Standing::Nobody,
            })
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
