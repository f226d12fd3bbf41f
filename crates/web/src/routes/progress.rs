//! `/api/v1/progress/{topic}`: the state of one topic for whoever has no WebSocket,
//! by a request that waits or as server-sent events.
//!
//! It never asks the database while it waits.

use std::time::Duration;

use actix_web::http::header::{self, HeaderName};
use actix_web::{HttpRequest, HttpResponse, web};
use futures_util::StreamExt;
use serde::Deserialize;
use slipway_core::{Action, Topic};
use slipway_ingest::Caller;
use slipway_realtime::{News, Place, Since, Watch, events};
use tokio::time::{Instant, timeout, timeout_at};

use super::id;
use super::live::Door;
use crate::app::State;
use crate::caller::Proven;
use crate::error::ApiError;

/// The longest wait: the router wants the first byte of an answer within 30 s.
const WAIT_MAX: Duration = Duration::from_secs(25);

/// How long a state that nobody here follows yet may take to be read, however short
/// the wait that was asked for.
const READ_WAIT: Duration = Duration::from_secs(5);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What is asked for.
#[derive(Deserialize)]
pub(crate) struct Asked {
    /// `e:s`, what the client has.
    since: Option<String>,
    /// Seconds to wait for news of it.
    #[serde(default)]
    wait: u64,
}

/// `GET /api/v1/progress/{topic}?since=e:s&wait=25`: the frame that leads on from
/// `since`, or 304 when the wait ends without news.
pub(crate) async fn wait(
    request: HttpRequest,
    state: web::Data<State>,
    Proven(caller): Proven,
    topic: web::Path<String>,
    asked: web::Query<Asked>,
) -> Result<HttpResponse, ApiError> {
    let deadline = Instant::now() + Duration::from_secs(asked.wait).min(WAIT_MAX);
    let since = match &asked.since {
        Some(text) => Some(position(text)?),
        None => tagged(&request),
    };
    let unchanged = since.as_ref().map(ToString::to_string);
    let (mut watch, _place) = enter(&state, &caller, &topic, since).await?;
    if timeout(READ_WAIT, watch.known()).await.is_err() {
        return Err(ApiError::busy());
    }
    let leaving = watch.sent_away();
    tokio::select! {
        // News that are there already are told before anything else.
        biased;
        news = timeout_at(deadline, watch.news()) => Ok(match news {
            Ok(news) => found(&news),
            Err(_) => not_modified(unchanged),
        }),
        // Whoever asks again finds another process.
        () = leaving => Ok(not_modified(unchanged)),
    }
}

/// `GET /api/v1/progress/{topic}/events`: the same as server-sent events.
pub(crate) async fn stream(
    request: HttpRequest,
    state: web::Data<State>,
    Proven(caller): Proven,
    topic: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let since = request.headers().get(LAST_EVENT_ID);
    // An id that is none of ours is no reason to send nobody anything.
    let since = since.and_then(|id| id.to_str().ok()?.parse().ok());
    let (watch, place) = enter(&state, &caller, &topic, since).await?;
    let text = events(watch, Box::new(Door::new(state, caller, &request)?));
    let body = text.map(move |text| {
        let _kept_to_the_end = &place;
        Ok::<_, actix_web::Error>(text)
    });
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/event-stream"))
        // Nobody on the way may collect events, or compress them, which collects too.
        .insert_header((header::CACHE_CONTROL, "no-store, no-transform"))
        .insert_header((ACCEL_BUFFERING, "no"))
        .streaming(body))
}

/// Whoever may follow the topic, and finds a place, follows it.
async fn enter(
    state: &State,
    caller: &Caller,
    topic: &str,
    since: Option<Since>,
) -> Result<(Watch, Place), ApiError> {
    caller.may(Action::ProgressFollow)?;
    let topic: Topic = id(topic)?;
    let place = state.waits.take(caller.id())?;
    if !state.ingest.may_follow(caller, topic).await? {
        // The same words for what is foreign and for what is not there.
        return Err(ApiError::no_such_page());
    }
    Ok((Watch::new(&state.hub, topic, since), place))
}

fn position(text: &str) -> Result<Since, ApiError> {
    let wrong =
        |()| ApiError::bad_request("since", "since is no position; give e:s as it was told");
    text.parse().map_err(wrong)
}

/// The position in `If-None-Match`, where there is one.
fn tagged(request: &HttpRequest) -> Option<Since> {
    let tag = request
        .headers()
        .get(header::IF_NONE_MATCH)?
        .to_str()
        .ok()?;
    let tag = tag.trim().trim_start_matches("W/");
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()
}

fn found(news: &News) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((header::CONTENT_TYPE, "application/json"));
    if let Some(position) = news.position() {
        response.insert_header((header::ETAG, format!("\"{position}\"")));
    }
    response.body(news.state().to_owned())
}

fn not_modified(position: Option<String>) -> HttpResponse {
    let mut response = HttpResponse::NotModified();
    if let Some(position) = position {
        response.insert_header((header::ETAG, format!("\"{position}\"")));
    }
    response.finish()
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn a_tag_of_ours_is_a_position() {
        for (tag, expected) in [
            ("\"1f-2.0:17\"", Some("1f-2.0:17")),
            ("W/\"1f-2.0:17\"", Some("1f-2.0:17")),
            ("\"1f-2.0\"", None),
            ("*", None),
        ] {
            let request = TestRequest::default()
                .insert_header((header::IF_NONE_MATCH, tag))
                .to_http_request();
            let position = tagged(&request).map(|since| since.to_string());
            assert_eq!(position.as_deref(), expected, "{tag}");
        }
    }
}
