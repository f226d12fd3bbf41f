//! A socket that sends back what it gets, for tests of conformance.
//!
//! It never has a route in the product: it is there with the feature `testing` alone,
//! and shares with the product's sockets what they take and how they close.

use actix_ws::{AggregatedMessage, CloseCode, CloseReason, Closed, MessageStream, Session};
use futures_util::StreamExt;

use crate::wire::{OUT_OF_ORDER, code_of, whole_messages};

/// Sends every message back until the peer closes, or is not in order.
pub async fn echo(session: Session, stream: MessageStream) {
    let mut stream = whole_messages(stream);
    while let Some(message) = stream.next().await {
        let end = match message {
            Ok(AggregatedMessage::Close(_)) => (CloseCode::Normal, ""),
            Err(error) => (code_of(&error), OUT_OF_ORDER),
            Ok(message) => {
                if answer(session.clone(), message).await.is_err() {
                    return;
                }
                continue;
            }
        };
        let reason = CloseReason::from(end);
        // Closed already: then there is nobody to tell.
        let _closed = session.close(Some(reason)).await;
        return;
    }
}

async fn answer(mut session: Session, message: AggregatedMessage) -> Result<(), Closed> {
    match message {
        AggregatedMessage::Text(text) => session.text(text).await,
        AggregatedMessage::Binary(bytes) => session.binary(bytes).await,
        AggregatedMessage::Ping(bytes) => session.pong(&bytes).await,
        AggregatedMessage::Pong(_) | AggregatedMessage::Close(_) => Ok(()),
    }
}
