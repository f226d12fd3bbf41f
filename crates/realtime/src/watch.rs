//! One topic, followed by one request that waits for news of it.
//!
//! It never asks a database: a waiting request is a viewer like any other, and costs
//! a place in the hub.

use std::sync::Arc;
use std::time::Duration;

use bytestring::ByteString;
use slipway_core::Topic;
use tokio::sync::Notify;

use crate::frame::{FromServer, Reason, Since, encode};
use crate::hub::{Hub, Lacks, Latest};
use crate::viewers::{next_viewer, spread};

/// Follows a topic from a position; leaves it when dropped.
pub struct Watch {
    hub: Hub,
    topic: Topic,
    viewer: u64,
    wake: Arc<Notify>,
    since: Option<Since>,
}

/// What is new of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Turns that were passed, if any.
    pub(crate) turns: Vec<ByteString>,
    /// The state, or what has changed of it, or that it is gone.
    pub(crate) state: ByteString,
    /// Where this leads to; `None` once the topic is gone.
    pub(crate) position: Option<Since>,
}

impl News {
    /// The one frame that says all.
    pub fn state(&self) -> &str {
        &self.state
    }

    /// The position that it leads to, as `e:s`; `None` once the topic is gone.
    pub fn position(&self) -> Option<String> {
        self.position.as_ref().map(ToString::to_string)
    }
}

impl Watch {
    /// Follows `topic` from `since`, or from nothing.
    pub fn new(hub: &Hub, topic: Topic, since: Option<Since>) -> Self {
        let (viewer, wake) = (next_viewer(), Arc::<Notify>::default());
        hub.follow(topic, viewer, Arc::clone(&wake), since.as_ref());
        Self {
            hub: hub.clone(),
            topic,
            viewer,
            wake,
            since,
        }
    }

    /// Waits until the state is known at all, whether it is news or not.
    pub async fn known(&self) {
        while self.hub.latest(self.topic).is_none() {
            self.wake.notified().await;
        }
    }

    /// What is new since the last call, or since the position at the beginning;
    /// waits until something is. Nothing is lost when the wait is given up.
    pub async fn news(&mut self) -> News {
        loop {
            if let Some(news) = self.due() {
                self.since.clone_from(&news.position);
                return news;
            }
            self.wake.notified().await;
        }
    }

    /// Waits until this process is leaving, and then for this viewer's share of the
    /// time that everybody has to go elsewhere.
    pub fn sent_away(&self) -> impl Future<Output = ()> + use<> {
        let (hub, viewer) = (self.hub.clone(), self.viewer);
        async move {
            let within = hub.drained().await;
            tokio::time::sleep(spread(viewer, within)).await;
        }
    }

    pub(crate) fn topic(&self) -> Topic {
        self.topic
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// This viewer's share of a time over which all of them are spread.
    pub(crate) fn share(&self, within: Duration) -> Duration {
        spread(self.viewer, within)
    }

    fn due(&self) -> Option<News> {
        let latest = self.hub.latest(self.topic)?;
        let value = match &*latest {
            Latest::At(value) => value,
            Latest::Gone => {
                let state = encode(&FromServer::Gone {
                    topic: &self.topic.to_string(),
                    reason: Reason::Deleted,
                });
                return Some(News {
                    turns: Vec::new(),
                    state,
                    position: None,
                });
            }
        };
        let (turns, state) = match value.lacked_by(self.since.as_ref()) {
            Lacks::Nothing => return None,
            Lacks::Changes { since } => (value.turns(since).collect(), value.up()),
            Lacks::Whole(why) => (Vec::new(), value.snap(why)),
        };
        Some(News {
            turns,
            state,
            position: Some(Since::from(&value.position)),
        })
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.hub.unfollow(self.topic, self.viewer);
    }
}
