//! One viewer's WebSocket: reads what they ask, sends what is news.
//!
//! It never awaits one viewer on behalf of another, and ends by itself when its
//! viewer is gone, silent or unruly.

use std::pin::Pin;
use std::time::Duration;

use actix_ws::{AggregatedMessage, AggregatedMessageStream, CloseCode, CloseReason, Session};
use bytestring::ByteString;
use futures_util::StreamExt;
use slipway_core::Topic;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};

use crate::frame::{FromClient, FromServer, Limits, Reconnect, Refusal, Since, encode, together};
use crate::hub::Hub;
use crate::subscriptions::{Subscriptions, TOPICS_MAX};
use crate::viewers::{next_viewer, spread};
use crate::wire::{MESSAGE_BYTES_MAX, OUT_OF_ORDER, code_of, whole_messages};

/// The name of the protocol in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "slipway.progress.v1";

/// Messages a viewer may send each second, and in a burst: a page that opens
/// subscribes to everything it shows at once.
const MESSAGES_PER_SECOND: u32 = 20;
const MESSAGES_BURST: u32 = 2 * TOPICS_MAX as u32;

/// News are sent at most this often; what changes in between is one change.
pub(crate) const NEWS_EVERY: Duration = Duration::from_millis(50);

/// The router closes what is silent for 55 s. Browsers answer a ping by
/// themselves, in hidden tabs too.
const PING_EVERY: Duration = Duration::from_secs(25);

/// Silence after which a viewer counts as gone: one lost ping is forgiven.
const SILENCE_MAX: Duration = Duration::from_secs(40);

/// How long one send may wait for a viewer who does not read.
const SEND_WAIT: Duration = SILENCE_MAX;

/// When to ask again what could not be told: as long as a full pool takes to empty.
const BUSY_AFTER_MS: u32 = 2000;

/// An answer of a [`Gatekeeper`]; `Err` when it cannot be told now.
pub type Verdict = Pin<Box<dyn Future<Output = Result<bool, ()>>>>;

/// Knows what one viewer may do.
pub trait Gatekeeper {
    /// Whether they may follow this topic.
    fn may_follow(&self, topic: Topic) -> Verdict;

    /// Whether they are still who they were when they came in.
    fn is_welcome(&self) -> Verdict;
}

/// Why a socket ends.
enum End {
    /// The viewer left, or the connection broke.
    Gone,
    /// We close it, for this reason.
    Close(CloseCode, &'static str),
}

type Go = Result<(), End>;

/// Serves one viewer until either side ends it. A broken socket is normal, so
/// nothing comes back.
pub async fn serve(
    hub: Hub,
    session: Session,
    stream: actix_ws::MessageStream,
    gatekeeper: Box<dyn Gatekeeper>,
) {
    let viewer = next_viewer();
    let stream = whole_messages(stream);
    let socket = Socket {
        subscriptions: Subscriptions::new(hub.clone(), viewer),
        session: session.clone(),
        gatekeeper,
        heard_at: Instant::now(),
        allowance: MESSAGES_BURST,
        allowance_at: Instant::now(),
    };
    if let End::Close(code, description) = socket.run(&hub, viewer, stream).await {
        let reason = CloseReason {
            code,
            description: Some(description.to_owned()),
        };
        // Closed already: then there is nobody to tell.
        let _closed = timeout(SEND_WAIT, session.close(Some(reason))).await;
    }
}

struct Socket {
    subscriptions: Subscriptions,
    session: Session,
    gatekeeper: Box<dyn Gatekeeper>,
    heard_at: Instant,
    allowance: u32,
    allowance_at: Instant,
}

impl Socket {
    async fn run(mut self, hub: &Hub, viewer: u64, mut stream: AggregatedMessageStream) -> End {
        match self.talk(hub, viewer, &mut stream).await {
            Ok(()) => End::Gone,
            Err(end) => end,
        }
    }

    async fn talk(&mut self, hub: &Hub, viewer: u64, stream: &mut AggregatedMessageStream) -> Go {
        self.send(hello(viewer)).await?;
        let wake = self.subscriptions.wake();
        let mut leave_at: Option<Instant> = None;
        let mut pings = interval_at(Instant::now() + PING_EVERY, PING_EVERY);
        pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // When to look for news; `None` until somebody says that there are some.
        let mut news_at: Option<Instant> = None;
        let mut newest_at = Instant::now();
        loop {
            tokio::select! {
                message = stream.next() => match message {
                    None => return Ok(()),
                    Some(message) => self.hear(message).await?,
                },
                () = wake.notified(), if news_at.is_none() => news_at = Some(newest_at),
                () = until(news_at) => {
                    let frames = self.subscriptions.news();
                    if !frames.is_empty() {
                        self.send(together(&frames)).await?;
                    }
                    news_at = None;
                    newest_at = Instant::now() + NEWS_EVERY;
                }
                _ = pings.tick() => self.ping().await?,
                within = hub.drained(), if leave_at.is_none() => {
                    let within_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
                    self.send(encode(&FromServer::Drain { within_ms })).await?;
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
            Ok(AggregatedMessage::Pong(_)) => Ok(()),
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
                    self.subscriptions.unfollow(topic);
                }
                Ok(())
            }
            FromClient::Ack { pos } if self.subscriptions.could_be(&pos) => Ok(()),
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
            Ok(topic) if !self.subscriptions.has_room_for(topic) => {
                (Refusal::TooManyTopics, "follow fewer topics at once")
            }
            Ok(topic) => match self.gatekeeper.may_follow(topic).await {
                Ok(true) => {
                    self.subscriptions.follow(topic, id, since);
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
        // Somebody who signed out, or was shut out, is told so; a doubt is no reason.
        if self.gatekeeper.is_welcome().await == Ok(false) {
            return Err(End::Close(CloseCode::Other(4001), "sign in again"));
        }
        within_time(self.session.ping(b"")).await?;
        let pos = self.subscriptions.told();
        self.send(encode(&FromServer::Hb { pos })).await
    }

    /// Hands a frame to the connection; waits while the viewer does not read, and
    /// meanwhile nothing piles up: news are made when they can be sent.
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
