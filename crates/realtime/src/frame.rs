//! The frames of `slipway.progress.v1`, as they are written and read.
//!
//! It never decides when a frame is sent. Clients ignore fields and frames they
//! do not know, so adding is allowed and changing a meaning is not. The published
//! description is made of these types, comments included.

use std::collections::BTreeMap;

use bytestring::ByteString;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use slipway_core::{Position, Progress, Seq, Topic};

use crate::state::{State, Turns};

/// What a client sends, one object a message.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(tag = "t", rename_all = "lowercase")]
pub(crate) enum FromClient {
    /// Follow a topic, going on from `since` if that is possible.
    Sub {
        /// Chosen by the client, repeated in the answer.
        id: u64,
        /// `upload:<id>`, `job:<id>` or `account:<id>`.
        topic: String,
        /// What the client has of it.
        since: Option<Since>,
    },
    /// Follow it no longer.
    Unsub {
        /// Chosen by the client; there is no answer.
        #[serde(default)]
        id: u64,
        /// As in `sub`.
        topic: String,
    },
    /// Answers `hb`: how far the client has got. A connection that claims more than
    /// it was told is closed with 4000.
    Ack {
        /// The `s` of each topic.
        #[serde(default)]
        pos: BTreeMap<String, i64>,
    },
}

/// A position that a client has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
pub struct Since {
    /// The epoch, as it was told.
    pub(crate) e: String,
    /// The sequence number.
    pub(crate) s: i64,
}

impl std::str::FromStr for Since {
    type Err = ();

    /// Reads `e:s`, the text of a position in URLs, tags and ids of events.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (e, s) = text.rsplit_once(':').ok_or(())?;
        let s = s.parse().or(Err(()))?;
        let e = e.to_owned();
        if e.is_empty() {
            Err(())
        } else {
            Ok(Self { e, s })
        }
    }
}

impl From<&Position> for Since {
    fn from(position: &Position) -> Self {
        Self {
            e: position.epoch.as_str().to_owned(),
            s: position.seq.get(),
        }
    }
}

impl std::fmt::Display for Since {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.e, self.s)
    }
}

impl Since {
    /// Whether this is exactly `position`.
    pub(crate) fn is_at(&self, position: &Position) -> bool {
        self.e == position.epoch.as_str() && self.s == position.seq.get()
    }

    /// Whether this is an earlier position of the same history.
    pub(crate) fn is_before(&self, position: &Position) -> bool {
        self.e == position.epoch.as_str()
            && self.s >= Seq::FIRST.get()
            && self.s < position.seq.get()
    }
}

/// Why a whole state is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Why {
    /// The client has none.
    New,
    /// The client's position is in another history.
    Reset,
}

/// What a turn is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Turn {
    /// The status of a file or job.
    Status,
    /// The step of a job.
    Step,
}

/// Why there is nothing more to be told of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Reason {
    /// There is no such thing any more.
    Deleted,
    /// The viewer may not follow it any more.
    Forbidden,
}

/// What was wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Refusal {
    /// It is no frame of the protocol.
    Malformed,
    /// There is no such topic, or it is not the client's to follow.
    UnknownTopic,
    /// The connection follows as many topics as it may.
    TooManyTopics,
    /// It cannot be told now; the same may be asked again after `after_ms`.
    Busy,
}

/// What a server sends: one object a message, or several in an array.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(tag = "t", rename_all = "lowercase")]
pub(crate) enum FromServer<'a> {
    /// The first frame of a connection.
    Hello {
        /// Version of the protocol.
        v: u8,
        /// Number of the connection, for logs.
        conn: u64,
        /// Milliseconds after which something is heard at the latest.
        hb_ms: u64,
        /// What a client may do.
        limits: Limits,
        /// How it comes back.
        reconnect: Reconnect,
    },
    /// The whole state of a topic; always safe to take over.
    Snap {
        /// As it was asked for.
        topic: &'a str,
        /// The epoch.
        e: &'a str,
        /// The sequence number.
        s: i64,
        /// The state.
        d: State<'a>,
        /// Why it is sent.
        why: Why,
    },
    /// Values that changed. They are absolute, so they fit whoever has a position of
    /// the same epoch from `p` on and before `s`.
    Up {
        /// As it was asked for.
        topic: &'a str,
        /// The earliest position that this fits.
        p: i64,
        /// The position that it leads to.
        s: i64,
        /// The state.
        d: State<'a>,
    },
    /// A turn of a topic, told even to those for whom the values around it were
    /// skipped, as far as this process saw it. The state is in `up` and `snap`.
    Ev {
        /// As it was asked for.
        topic: &'a str,
        /// The position at which it was seen.
        s: i64,
        /// What it is about.
        kind: Turn,
        /// What it was, and what it is.
        d: Turned<'a>,
    },
    /// Answers `sub`.
    Ok {
        /// The client's.
        id: u64,
        /// As it was asked for.
        topic: &'a str,
        /// The epoch now.
        e: &'a str,
        /// The sequence number now.
        s: i64,
        /// True: what the client has holds, and only `up` and `ev` follow. False: a
        /// `snap` follows.
        recovered: bool,
    },
    /// Nothing more is told of a topic.
    Gone {
        /// As it was asked for.
        topic: &'a str,
        /// Why.
        reason: Reason,
    },
    /// A message was refused; the connection goes on.
    Err {
        /// The client's, if the message had one.
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        /// For programs.
        code: Refusal,
        /// For people.
        msg: &'a str,
        /// Whether the same may be asked again.
        retry: bool,
        /// Milliseconds after which that is sensible.
        #[serde(skip_serializing_if = "Option::is_none")]
        after_ms: Option<u32>,
    },
    /// A sign of life, to be answered with `ack`.
    Hb {
        /// The `s` up to which each topic was told on this connection.
        pos: BTreeMap<String, i64>,
        /// Told when it changes: whether what was told may be out of date, because the
        /// server cannot read anything newer.
        #[serde(skip_serializing_if = "Option::is_none")]
        stale: Option<bool>,
    },
    /// This process is leaving: come back within this time, at a moment chosen by
    /// chance. Whoever stays is closed with 1012.
    Drain {
        /// Milliseconds.
        within_ms: u64,
    },
}

/// What a client may do on one connection.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Limits {
    /// Topics it may follow.
    pub(crate) topics: usize,
    /// Bytes of a message.
    pub(crate) msg: usize,
    /// Messages a second.
    pub(crate) rate: u32,
}

/// How a client comes back: after a random wait below a ceiling that doubles.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Reconnect {
    /// The first ceiling, in milliseconds.
    pub(crate) base_ms: u32,
    /// The highest, in milliseconds.
    pub(crate) max_ms: u32,
}

/// A turn.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Turned<'a> {
    /// Before; null for nothing.
    was: Option<&'a str>,
    /// Since; null for nothing.
    is: Option<&'a str>,
}

/// The text of a frame.
pub(crate) fn encode(frame: &FromServer<'_>) -> ByteString {
    // Strings, numbers and lists of them cannot fail to become JSON.
    ByteString::from(serde_json::to_string(frame).unwrap_or_default())
}

/// A whole state.
pub(crate) fn snap(
    topic: &Topic,
    position: &Position,
    progress: &Progress,
    why: Why,
) -> ByteString {
    encode(&FromServer::Snap {
        topic: &topic.to_string(),
        e: position.epoch.as_str(),
        s: position.seq.get(),
        d: progress.into(),
        why,
    })
}

/// A change, for whoever has any earlier state of the same history.
pub(crate) fn up(topic: &Topic, position: &Position, progress: &Progress) -> ByteString {
    encode(&FromServer::Up {
        topic: &topic.to_string(),
        p: Seq::FIRST.get(),
        s: position.seq.get(),
        d: progress.into(),
    })
}

/// The turns from one state of a topic to the next, which is at `position`.
pub(crate) fn turns(
    topic: &Topic,
    position: &Position,
    before: &Progress,
    now: &Progress,
) -> Vec<ByteString> {
    let (before, now) = (Turns::from(before), Turns::from(now));
    let turns = [
        (Turn::Status, before.status, now.status),
        (Turn::Step, before.step, now.step),
    ];
    let turned = turns.into_iter().filter(|(_, was, is)| was != is);
    let encoded = turned.map(|(kind, was, is)| {
        encode(&FromServer::Ev {
            topic: &topic.to_string(),
            s: position.seq.get(),
            kind,
            d: Turned { was, is },
        })
    });
    encoded.collect()
}

/// Several frames as one text: a tick is one write.
pub(crate) fn together(frames: &[ByteString]) -> ByteString {
    match frames {
        [one] => one.clone(),
        many => {
            let texts: Vec<&str> = many.iter().map(|frame| &**frame).collect();
            ByteString::from(format!("[{}]", texts.join(",")))
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_core::{ByteCount, Epoch, UploadId, UploadProgress, UploadState};

    use super::*;

    fn upload() -> Progress {
        Progress::Upload(UploadProgress {
            name: "a \"b\".bin".to_owned(),
            state: UploadState::Receiving,
            stored: ByteCount::from_u32(25),
            total: Some(ByteCount::from_u32(100)),
            rate: Some(10),
            sha256: None,
            media_type: Some("text/csv".to_owned()),
            message: None,
            jobs: vec![],
        })
    }

    #[test]
    fn a_snapshot_says_all_there_is() {
        let id: UploadId = "0190a1b2-0000-7000-8000-000000000001".parse().unwrap();
        let at = Position {
            epoch: Epoch::new("t", 0),
            seq: Seq::new(7).unwrap(),
        };

        let text = snap(&Topic::Upload(id), &at, &upload(), Why::New);

        assert_eq!(
            &*text,
            r#"{"t":"snap","topic":"upload:0190a1b2-0000-7000-8000-000000000001","e":"t.0","s":7,"d":{"name":"a \"b\".bin","status":"receiving","step":null,"done":25,"total":100,"unit":"bytes","rate":10,"eta_ms":7500,"checksum":null,"media_type":"text/csv","message":null,"jobs":[]},"why":"new"}"#
        );
    }

    #[test]
    fn client_frames_are_read_and_others_refused() {
        let sub: FromClient =
            serde_json::from_str(r#"{"t":"sub","id":1,"topic":"x","since":{"e":"t.0","s":3}}"#)
                .unwrap();
        let since = Some(Since {
            e: "t.0".to_owned(),
            s: 3,
        });
        assert_eq!(
            sub,
            FromClient::Sub {
                id: 1,
                topic: "x".to_owned(),
                since
            }
        );

        for text in ["", "[]", "{}", r#"{"t":"sub"}"#, r#"{"t":"shout","id":1}"#] {
            assert!(serde_json::from_str::<FromClient>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_position_is_compared_within_its_history_only() {
        let at = Position {
            epoch: Epoch::new("t", 1),
            seq: Seq::new(5).unwrap(),
        };
        let since = |e: &str, s| Since { e: e.to_owned(), s };

        assert!(since("t.1", 5).is_at(&at) && !since("t.0", 5).is_at(&at));
        assert!(since("t.1", 4).is_before(&at) && !since("t.0", 4).is_before(&at));
        assert!(!since("t.1", 6).is_before(&at) && !since("t.1", 0).is_before(&at));
    }

    #[test]
    fn a_position_reads_back_from_its_text() {
        let since: Since = "1f-2.0:17".parse().unwrap();

        assert_eq!((since.e.as_str(), since.s), ("1f-2.0", 17));
        assert_eq!(since.to_string(), "1f-2.0:17");
        for text in ["", ":", "t.0", "t.0:", ":3", "t.0:x"] {
            assert!(text.parse::<Since>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_turn_says_what_was_and_what_is() {
        let (before, mut now) = (upload(), upload());
        let Progress::Upload(after) = &mut now else {
            panic!("{now:?}")
        };
        after.state = UploadState::Verifying;
        let topic = Topic::Upload("0190a1b2-0000-7000-8000-000000000001".parse().unwrap());
        let at = Position {
            epoch: Epoch::new("t", 0),
            seq: Seq::new(9).unwrap(),
        };

        let frames = turns(&topic, &at, &before, &now);

        assert_eq!(
            frames,
            [
                r#"{"t":"ev","topic":"upload:0190a1b2-0000-7000-8000-000000000001","s":9,"kind":"status","d":{"was":"receiving","is":"verifying"}}"#
            ]
        );
        assert!(turns(&topic, &at, &before, &before).is_empty());
    }

    #[test]
    fn several_frames_are_one_array() {
        let one = ByteString::from("{}");

        assert_eq!(&*together(std::slice::from_ref(&one)), "{}");
        assert_eq!(&*together(&[one.clone(), one]), "[{},{}]");
    }
}
