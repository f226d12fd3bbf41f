//! One viewer's WebSocket: hears what they ask, answers, and ends it.
//!
//! It never awaits one viewer on behalf of another, and ends by itself when its
//! viewer is gone, silent or unruly. News go another way: `outlet.rs`.

use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::body::MessageBody;
use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Session};
use bytestring::ByteString;
use futures_util::StreamExt;
use slipway_core::Topic;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::frame::{FromClient, FromServer, Limits, Reason, Reconnect, Refusal, Since, encode};
use crate::hub::Hub;
use crate::outlet::{Outlet, Pull};
use crate::subscriptions::{Subscriptions, TOPICS_MAX};
use crate::viewers::{next_viewer, spread};
use crate::wire::{MESSAGE_BYTES_MAX, OUT_OF_ORDER, code_of, whole_messages};

/// The name of the protocol in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "slipway.progress.v1";

/// Messages a viewer may send each second, and in a burst: a page that opens
/// subscribes to everything it shows at once.
const MESSAGES_PER_SECOND: u32 = 20;
const MESSAGES_BURST: u32 = 2 * TOPICS_MAX as u32;

/// The router closes what is silent for 55 s. Browsers answer a ping by
/// themselves, in hidden tabs too.
const PING_EVERY: Duration = Duration::from_secs(25);

/// Silence after which a viewer counts as gone: one lost ping is forgiven.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// How long one send may wait for a viewer who does not read.
const SEND_WAIT: Duration = SILENCE_MAX;

/// When to ask again what could not be told: as long as a full pool takes to empty.
const BUSY_AFTER_MS: u32 = 2000;

/// What it takes to speak to a viewer: the answer to their upgrade, and both ends of
/// the conversation.
pub type Upgraded = (HttpResponse, Session, actix_ws::MessageStream);

/// An answer of a [`Gatekeeper`]; `Err` when it cannot be told now.
pub type Verdict<T> = Pin<Box<dyn Future<Output = Result<T, ()>>>>;

/// Who a viewer is, compared with who they were when this was last asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The same, with the same rights.
    Same,
    /// The same, with other rights.
    Changed,
    /// Nobody whom we know.
    Nobody,
}

/// Knows what one viewer may do.
pub trait Gatekeeper {
    /// Whether they may follow this topic.
    fn may_follow(&self, topic: Topic) -> Verdict<bool>;

    /// Who they are now.
    fn standing(&self) -> Verdict<Standing>;
}

/// Why a socket ends.
enum End {
    /// The viewer left, or the connection broke.
    Gone,
    /// We close it, for this reason.
    Close(CloseCode, &'static str),
}

type Go = Result<(), End>;

/// Serves one viewer until either side ends it: the answer to their upgrade, and the
/// task that goes with it, for the thread that answers. A broken socket is normal, so
/// nothing comes of the task.
pub fn serve(
    hub: Hub,
    (response, session, stream): Upgraded,
    gatekeeper: Box<dyn Gatekeeper>,
) -> (HttpResponse, impl Future<Output = ()>) {
    let viewer = next_viewer();
    let stream = whole_messages(stream);
    let outlet = Rc::new(Outlet::new(Subscriptions::new(hub.clone(), viewer)));
    let pulled = Rc::clone(&outlet);
    let response = response.map_body(|_, said| Pull::new(said, pulled).boxed());
    let socket = Socket {
        outlet,
        session,
        gatekeeper,
        rights_changed: false,
        heard_at: Instant::now(),
        allowance: MESSAGES_BURST,
        allowance_at: Instant::now(),
    };
    (response, socket.run(hub, viewer, stream))
}

struct Socket {
    outlet: Rc<Outlet>,
    session: Session,
    gatekeeper: Box<dyn Gatekeeper>,
    /// What is followed has yet to be compared with the viewer's rights.
    rights_changed: bool,
    heard_at: Instant,
    allowance: u32,
    allowance_at: Instant,
}

impl Socket {
    async fn run(mut self, hub: Hub, viewer: u64, mut stream: AggregatedMessageStream) {
        let ended = self.talk(&hub, viewer, &mut stream).await;
        // Nobody is told anything from here on, and the hub need not know them.
        self.outlet.subscriptions.borrow_mut().unfollow_all();
        if let Err(End::Close(code, description)) = ended {
            let reason = CloseReason {
                code,
                description: Some(description.to_owned()),
            };
            // Closed already: then there is nobody to tell.
            let closing = Box::pin(self.session.close(Some(reason)));
            let _closed = timeout(SEND_WAIT, closing).await;
        }
    }

    async fn talk(&mut self, hub: &Hub, viewer: u64, stream: &mut AggregatedMessageStream) -> Go {
        Box::pin(self.send(hello(viewer))).await?;
        self.outlet.open();
        let mut stale = hub.stale();
        if *stale.borrow_and_update() {
            Box::pin(self.say_stale(true)).await?;
        }
        let mut leave_at: Option<Instant> = None;
        // Those who come together are not asked together.
        let first = Instant::now() + spread(viewer, PING_EVERY);
        let mut pings = interval_at(first, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    None => return Ok(()),
                    // What is rare is boxed here and below, for while a viewer is quiet,
                    // which is nearly always, room for it would be kept: 1 KiB each.
                    Some(message) => Box::pin(self.hear(message)).await?,
                },
                _ = pings.tick() => Box::pin(self.ping()).await?,
                // It lives as long as the hub, and the hub as long as this.
                Ok(()) = stale.changed() => {
                    let stale = *stale.borrow_and_update();
                    Box::pin(self.say_stale(stale)).await?;
                }
                within = hub.drained(), if leave_at.is_none() => {
                    let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                    let drain = encode(&FromServer::Drain { within_ms });
                    Box::pin(self.send(drain)).await?;
                    leave_at = Some(Instant::now() + spread(viewer, within));
                }
                () = until(leave_at) => return Err(End::Close(CloseCode::Restart, "this process is leaving")),
            }
        }
    }

    async fn hear(&mut self, message: Result<AggregatedMessage, actix_ws::ProtocolError>) -> Go {
        self.heard_at = Instant::now();
        match message {
            Ok(AggregatedMessage::Text(text)) => {
                self.spend()?;
                self.obey(&text).await
            }
            Ok(AggregatedMessage::Ping(bytes)) => {
                self.spend()?;
                within_time(self.session.pong(&bytes)).await
            }
            Ok(AggregatedMessage::Pong(bytes)) => {
                self.outlet.answer(&bytes);
                Ok(())
            }
            Ok(AggregatedMessage::Close(_)) => Err(End::Close(CloseCode::Normal, "")),
            Ok(AggregatedMessage::Binary(_)) => Err(End::Close(
                CloseCode::Unsupported,
                "only text is spoken here",
            )),
            Err(error) => Err(End::Close(code_of(&error), OUT_OF_ORDER)),
        }
    }

    /// Takes one message off the viewer's allowance.
    fn spend(&mut self) -> Go {
        let now = Instant::now();
        let earned = (now - self.allowance_at).as_secs_f64() * f64::from(MESSAGES_PER_SECOND);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "positive, and a cast saturates"
        )]
        let earned = earned as u32;
        if earned > 0 {
            self.allowance = self.allowance.saturating_add(earned).min(MESSAGES_BURST);
            self.allowance_at = now;
        }
        match self.allowance.checked_sub(1) {
            Some(left) => {
                self.allowance = left;
                Ok(())
            }
            None => Err(End::Close(CloseCode::Policy, "too many messages")),
        }
    }

    async fn obey(&mut self, text: &str) -> Go {
        let frame: FromClient = match serde_json::from_str(text) {
            Ok(frame) => frame,
            Err(_) => {
                let msg = "this is not a frame of the protocol";
                return self.refuse(None, Refusal::Malformed, msg).await;
            }
        };
        match frame {
            FromClient::Sub { id, topic, since } => self.sub(id, &topic, since).await,
            FromClient::Unsub { topic, .. } => {
                if let Ok(topic) = topic.parse() {
                    self.outlet.subscriptions.borrow_mut().unfollow(topic);
                }
                Ok(())
            }
            FromClient::Ack { pos } if self.outlet.subscriptions.borrow().could_be(&pos) => Ok(()),
            FromClient::Ack { .. } => Err(End::Close(
                CloseCode::Other(4000),
                "nobody was told so much; begin anew",
            )),
        }
    }

    async fn sub(&mut self, id: u64, topic: &str, since: Option<Since>) -> Go {
        let unknown = (Refusal::UnknownTopic, "there is no such topic");
        let (code, msg) = match topic.parse() {
            Err(_) => unknown,
            Ok(topic) if !self.outlet.subscriptions.borrow().has_room_for(topic) => {
                (Refusal::TooManyTopics, "follow fewer topics at once")
            }
            Ok(topic) => match self.gatekeeper.may_follow(topic).await {
                Ok(true) => {
                    let mut subscriptions = self.outlet.subscriptions.borrow_mut();
                    subscriptions.follow(topic, id, since);
                    return Ok(());
                }
                // The same words for what is foreign and for what is not there.
                Ok(false) => unknown,
                Err(()) => (Refusal::Busy, "try again in a moment"),
            },
        };
        self.refuse(Some(id), code, msg).await
    }

    async fn refuse(&mut self, id: Option<u64>, code: Refusal, msg: &str) -> Go {
        let retry = code == Refusal::Busy;
        let after_ms = retry.then_some(BUSY_AFTER_MS);
        self.send(encode(&FromServer::Err {
            id,
            code,
            msg,
            retry,
            after_ms,
        }))
        .await
    }

    async fn ping(&mut self) -> Go {
        if self.heard_at.elapsed() > SILENCE_MAX {
            return Err(End::Close(
                CloseCode::Other(4008),
                "nothing was heard for too long",
            ));
        }
        match self.gatekeeper.standing().await {
            Ok(Standing::Nobody) => {
                return Err(End::Close(CloseCode::Other(4001), "sign in again"));
            }
            Ok(Standing::Changed) => self.rights_changed = true,
            // A doubt is no reason; it is asked again with the next ping.
            Ok(Standing::Same) | Err(()) => {}
        }
        if self.rights_changed {
            self.leave_what_is_closed().await?;
        }
        self.outlet.ask();
        let pos = self.outlet.subscriptions.borrow().told();
        self.send(encode(&FromServer::Hb { pos, stale: None }))
            .await
    }

    async fn say_stale(&mut self, stale: bool) -> Go {
        let pos = self.outlet.subscriptions.borrow().told();
        let stale = Some(stale);
        self.send(encode(&FromServer::Hb { pos, stale })).await
    }

    /// Ends what the viewer may follow no longer.
    async fn leave_what_is_closed(&mut self) -> Go {
        let followed = self.outlet.subscriptions.borrow().topics();
        self.rights_changed = false;
        for topic in followed {
            match self.gatekeeper.may_follow(topic).await {
                Ok(true) => {}
                Ok(false) => {
                    self.outlet.subscriptions.borrow_mut().unfollow(topic);
                    let topic = topic.to_string();
                    let reason = Reason::Forbidden;
                    let gone = FromServer::Gone {
                        topic: &topic,
                        reason,
                    };
                    self.send(encode(&gone)).await?;
                }
                Err(()) => self.rights_changed = true,
            }
        }
        Ok(())
    }

    /// Hands a frame to the connection; waits while the viewer does not read.
    async fn send(&mut self, text: ByteString) -> Go {
        within_time(self.session.text(text)).await
    }
}

async fn within_time(sending: impl Future<Output = Result<(), actix_ws::Closed>>) -> Go {
    match timeout(SEND_WAIT, sending).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(End::Gone),
        Err(_) => Err(End::Close(
            CloseCode::Other(4008),
            "nothing was read for too long",
        )),
    }
}

fn hello(viewer: u64) -> ByteString {
    encode(&FromServer::Hello {
        v: 1,
        conn: viewer,
        hb_ms: u64::try_from(PING_EVERY.as_millis()).unwrap_or(u64::MAX),
        limits: Limits {
            topics: TOPICS_MAX,
            msg: MESSAGE_BYTES_MAX,
            rate: MESSAGES_PER_SECOND,
        },
        reconnect: Reconnect {
            base_ms: 500,
            max_ms: 30_000,
        },
    })
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
