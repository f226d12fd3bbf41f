//! The JSON on the wire of `slipway.progress.v1`, twins of the words in core.
//!
//! It never decides when a frame is sent. Clients ignore fields and frames they
//! do not know, so adding is allowed and changing a meaning is not.

use bytestring::ByteString;
use serde::{Deserialize, Serialize};
use slipway_core::{Position, Progress, Seq, Topic, milliseconds_left};

/// What a client sends.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub(crate) enum FromClient {
    /// Follow a topic, going on from `since` if that is possible.
    Sub {
        /// Repeated in the answer.
        id: u64,
        topic: String,
        since: Option<Since>,
    },
    /// Follow it no longer.
    Unsub {
        #[serde(default)]
        id: u64,
        topic: String,
    },
    /// How far the client has got; answers a heartbeat.
    Ack {},
}

/// A position that a client has.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Since {
    pub(crate) e: String,
    pub(crate) s: i64,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Why {
    /// The client has none.
    New,
    /// The client's position is in another history.
    Reset,
}

/// What a server sends.
#[derive(Debug, Serialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub(crate) enum FromServer<'a> {
    Hello {
        v: u8,
        conn: u64,
        hb_ms: u64,
        limits: Limits,
        reconnect: Reconnect,
    },
    Snap {
        topic: &'a str,
        e: &'a str,
        s: i64,
        d: State<'a>,
        why: Why,
    },
    /// Values that changed; as they are absolute and the rest never changes, they
    /// fit any state of the same history from `p` on.
    Up {
        topic: &'a str,
        p: i64,
        s: i64,
        d: State<'a>,
    },
    Ok {
        id: u64,
        topic: &'a str,
        e: &'a str,
        s: i64,
        recovered: bool,
    },
    Gone {
        topic: &'a str,
        reason: &'static str,
    },
    Err {
        #[serde(skip_serializing_if = "Option::is_none")]
        id: Option<u64>,
        code: &'static str,
        msg: &'a str,
        retry: bool,
    },
    Hb {},
    Drain {
        within_ms: u64,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct Limits {
    pub(crate) topics: usize,
    pub(crate) msg: usize,
    pub(crate) rate: u32,
}

#[derive(Debug, Serialize)]
pub(crate) struct Reconnect {
    pub(crate) base_ms: u32,
    pub(crate) max_ms: u32,
}

/// A [`Progress`] as viewers get it.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum State<'a> {
    Upload {
        name: &'a str,
        status: &'static str,
        step: Option<&'a str>,
        done: u64,
        total: Option<u64>,
        unit: &'static str,
        rate: Option<u64>,
        eta_ms: Option<u64>,
        checksum: Option<String>,
        message: Option<&'a str>,
        jobs: Vec<String>,
    },
    Job {
        kind: &'static str,
        upload_id: String,
        status: &'static str,
        step: Option<&'a str>,
        done: u64,
        total: Option<u64>,
        unit: &'a str,
        rate: Option<u64>,
        eta_ms: Option<u64>,
        message: Option<&'a str>,
        attempt: i32,
    },
    Account {
        uploads: Vec<UploadLine<'a>>,
        jobs: Vec<JobLine>,
    },
}

#[derive(Debug, Serialize)]
pub(crate) struct UploadLine<'a> {
    id: String,
    name: &'a str,
    status: &'static str,
    done: u64,
    total: Option<u64>,
    created_at: &'a str,
}

#[derive(Debug, Serialize)]
pub(crate) struct JobLine {
    id: String,
    kind: &'static str,
    upload_id: String,
    status: &'static str,
}

impl<'a> From<&'a Progress> for State<'a> {
    fn from(progress: &'a Progress) -> Self {
        match progress {
            Progress::Upload(upload) => {
                let (done, total) = (upload.stored.to_u64(), upload.total.map(|t| t.to_u64()));
                Self::Upload {
                    name: &upload.name,
                    status: upload.state.as_str(),
                    step: None,
                    done,
                    total,
                    unit: "bytes",
                    rate: upload.rate,
                    eta_ms: milliseconds_left(done, total, upload.rate),
                    checksum: upload.sha256.map(|digest| digest.to_string()),
                    message: upload.message.as_deref(),
                    jobs: upload.jobs.iter().map(ToString::to_string).collect(),
                }
            }
            Progress::Job(job) => Self::Job {
                kind: job.kind.as_str(),
                upload_id: job.upload.to_string(),
                status: job.state.as_str(),
                step: job.step.as_deref(),
                done: job.done,
                total: job.total,
                unit: &job.unit,
                rate: job.rate,
                eta_ms: milliseconds_left(job.done, job.total, job.rate),
                message: job.message.as_deref(),
                attempt: job.attempt,
            },
            Progress::Account(account) => Self::Account {
                uploads: account.uploads.iter().map(UploadLine::from).collect(),
                jobs: account.jobs.iter().map(JobLine::from).collect(),
            },
        }
    }
}

impl<'a> From<&'a slipway_core::UploadSummary> for UploadLine<'a> {
    fn from(upload: &'a slipway_core::UploadSummary) -> Self {
        Self {
            id: upload.id.to_string(),
            name: &upload.name,
            status: upload.state.as_str(),
            done: upload.stored.to_u64(),
            total: upload.total.map(|total| total.to_u64()),
            created_at: &upload.created_at,
        }
    }
}

impl From<&slipway_core::JobSummary> for JobLine {
    fn from(job: &slipway_core::JobSummary) -> Self {
        Self {
            id: job.id.to_string(),
            kind: job.kind.as_str(),
            upload_id: job.upload.to_string(),
            status: job.state.as_str(),
        }
    }
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
            r#"{"t":"snap","topic":"upload:0190a1b2-0000-7000-8000-000000000001","e":"t.0","s":7,"d":{"name":"a \"b\".bin","status":"receiving","step":null,"done":25,"total":100,"unit":"bytes","rate":10,"eta_ms":7500,"checksum":null,"message":null,"jobs":[]},"why":"new"}"#
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
    fn several_frames_are_one_array() {
        let one = ByteString::from("{}");

        assert_eq!(&*together(std::slice::from_ref(&one)), "{}");
        assert_eq!(&*together(&[one.clone(), one]), "[{},{}]");
    }
}
