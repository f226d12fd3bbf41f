//! The sending half of a viewer's socket: the body of the answer to the upgrade, which
//! asks for news whenever the connection has room for them.
//!
//! It never keeps a frame: news are made when they can be sent, so a viewer who reads
//! slowly skips values and costs no memory.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use actix_web::web::{Bytes, BytesMut};
use bytestring::ByteString;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::frame::together;
use crate::subscriptions::Subscriptions;
use crate::window::Window;

/// First bytes of a frame (RFC 6455 section 5.2): final and text, final and ping.
const TEXT: u8 = 0x81;
const PING: u8 = 0x89;

/// Lengths up to this one are the second byte; above, two or eight bytes follow.
const SHORT_MAX: usize = 125;
const TWO_BYTES: u8 = 126;
const EIGHT_BYTES: u8 = 127;

/// What both halves of a viewer's socket know.
pub(crate) struct Outlet {
    pub(crate) subscriptions: RefCell<Subscriptions>,
    window: RefCell<Window>,
    wake: Arc<Notify>,
    /// News may be told: the greeting is on its way before.
    open: Cell<bool>,
}

impl Outlet {
    pub(crate) fn new(subscriptions: Subscriptions) -> Self {
        Self {
            wake: subscriptions.wake(),
            subscriptions: RefCell::new(subscriptions),
            window: RefCell::default(),
            open: Cell::new(false),
        }
    }

    /// Lets news out.
    pub(crate) fn open(&self) {
        self.open.set(true);
        self.wake.notify_one();
    }

    /// Asks the viewer for a sign of life.
    pub(crate) fn ask(&self) {
        self.window.borrow_mut().ask();
        self.wake.notify_one();
    }

    /// Takes what a viewer answered.
    pub(crate) fn answer(&self, payload: &[u8]) {
        self.window.borrow_mut().answer(payload);
        self.wake.notify_one();
    }

    /// The bytes that are to be sent now.
    pub(crate) fn next(&self) -> Option<Bytes> {
        if !self.open.get() {
            return None;
        }
        let mut window = self.window.borrow_mut();
        let room = window.room();
        let mut bytes = BytesMut::new();
        if room > 0 {
            let frames = self.subscriptions.borrow_mut().news(room);
            if !frames.is_empty() {
                put(&mut bytes, TEXT, &together(&frames));
            }
        }
        window.send(bytes.len());
        if let Some(question) = window.question() {
            bytes.extend_from_slice(&[PING, question.len() as u8]);
            bytes.extend_from_slice(&question);
        }
        (!bytes.is_empty()).then(|| bytes.freeze())
    }
}

fn put(bytes: &mut BytesMut, first: u8, text: &ByteString) {
    let length = text.len();
    bytes.reserve(10 + length);
    bytes.extend_from_slice(&[first]);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if length <= SHORT_MAX => bytes.extend_from_slice(&[short]),
        (_, Ok(middle)) => {
            bytes.extend_from_slice(&[TWO_BYTES]);
            bytes.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            bytes.extend_from_slice(&[EIGHT_BYTES]);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(text.as_bytes());
}

/// The body. First comes what the session has to say (answers, closing), then news.
pub(crate) struct Pull {
    session: BoxBody,
    outlet: Rc<Outlet>,
    woken: Pin<Box<OwnedNotified>>,
}

impl Pull {
    pub(crate) fn new(session: BoxBody, outlet: Rc<Outlet>) -> Self {
        let woken = Box::pin(Arc::clone(&outlet.wake).notified_owned());
        Self {
            session,
            outlet,
            woken,
        }
    }
}

impl MessageBody for Pull {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.session.size()
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Poll::Ready(said) = Pin::new(&mut self.session).poll_next(context) {
            return Poll::Ready(said);
        }
        loop {
            ready!(self.woken.as_mut().poll(context));
            // Armed before anything is looked at, so that no change is missed.
            let again = Arc::clone(&self.outlet.wake).notified_owned();
            self.woken.set(again);
            if let Some(bytes) = self.outlet.next() {
                return Poll::Ready(Some(Ok(bytes)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_core::{AccountId, Topic};

    use super::*;
    use crate::hub::Hub;
    use crate::samples::{at, list};

    #[test]
    fn lengths_are_written_as_the_protocol_wants_them() {
        for (length, head) in [
            (0, &[TEXT, 0][..]),
            (125, &[TEXT, 125]),
            (126, &[TEXT, 126, 0, 126]),
            (65_535, &[TEXT, 126, 255, 255]),
            (65_536, &[TEXT, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let (text, mut bytes) = ("x".repeat(length), BytesMut::new());

            put(&mut bytes, TEXT, &ByteString::from(text));

            assert_eq!(&bytes[..head.len()], head, "{length}");
            assert_eq!(bytes.len(), head.len() + length);
        }
    }

    #[test]
    fn whoever_does_not_read_is_sent_one_window_and_then_the_newest() {
        let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
        let outlet = Outlet::new(Subscriptions::new(hub.clone(), 1));
        outlet.open();
        outlet.subscriptions.borrow_mut().follow(topic, 1, None);
        let (mut sent, mut question) = (0, None);

        for seq in 1..=10_000 {
            hub.publish(topic, at(1, seq), list(&[]));
            if let Some(bytes) = outlet.next() {
                sent += bytes.len();
                let ping = bytes.windows(6).rfind(|six| six[..2] == [PING, 4]);
                question = ping.map(|six| six[2..].to_vec()).or(question);
            }
        }

        assert!(sent < 17 * 1024, "{sent}");
        outlet.answer(&question.unwrap());
        let bytes = outlet.next().unwrap();
        assert!(String::from_utf8_lossy(&bytes).contains(r#""s":10000"#));
    }
}
