//! What one viewer follows, and how far they have been told.
//!
//! It never sends: it says which frames would bring its viewer up to date now.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use slipway_core::{Epoch, Position, Topic};
use tokio::sync::Notify;

use crate::frame::{FromServer, Since, Why, encode};
use crate::hub::{Hub, Latest};

/// Topics that one viewer may follow: a page of a list, its jobs, and room.
pub(crate) const TOPICS_MAX: usize = 64;

/// How far a viewer has been told about a topic.
enum Told {
    /// They asked, and there was no value yet.
    Asked { id: u64, since: Option<Since> },
    /// Everything up to here.
    UpTo(Position),
}

/// The topics of one viewer; leaves them all when dropped.
pub(crate) struct Subscriptions {
    hub: Hub,
    viewer: u64,
    wake: Arc<Notify>,
    topics: BTreeMap<Topic, Told>,
}

impl Subscriptions {
    pub(crate) fn new(hub: Hub, viewer: u64) -> Self {
        Self {
            hub,
            viewer,
            wake: Arc::default(),
            topics: BTreeMap::new(),
        }
    }

    /// Woken when there may be something to tell.
    pub(crate) fn wake(&self) -> Arc<Notify> {
        Arc::clone(&self.wake)
    }

    /// Whether another topic may be followed.
    pub(crate) fn has_room_for(&self, topic: Topic) -> bool {
        self.topics.len() < TOPICS_MAX || self.topics.contains_key(&topic)
    }

    /// Begins to follow a topic, or answers again if it is followed already.
    pub(crate) fn follow(&mut self, topic: Topic, id: u64, since: Option<Since>) {
        self.hub.follow(topic, self.viewer, Arc::clone(&self.wake));
        self.topics.insert(topic, Told::Asked { id, since });
        self.wake.notify_one();
    }

    /// Follows a topic no longer.
    pub(crate) fn unfollow(&mut self, topic: Topic) {
        if self.topics.remove(&topic).is_some() {
            self.hub.unfollow(topic, self.viewer);
        }
    }

    /// The frames that bring the viewer up to date, at most a few a topic.
    pub(crate) fn news(&mut self) -> Vec<ByteString> {
        let mut frames = Vec::new();
        let mut gone = Vec::new();
        for (topic, told) in &mut self.topics {
            match self.hub.latest(*topic).as_deref() {
                None => {}
                Some(Latest::Gone) => {
                    let text = topic.to_string();
                    frames.push(encode(&FromServer::Gone {
                        topic: &text,
                        reason: "deleted",
                    }));
                    gone.push(*topic);
                }
                Some(Latest::At(value)) => {
                    tell(*topic, told, value, &mut frames);
                    *told = Told::UpTo(value.position.clone());
                }
            }
        }
        for topic in gone {
            self.unfollow(topic);
        }
        frames
    }
}

fn tell(topic: Topic, told: &Told, value: &crate::hub::Value, frames: &mut Vec<ByteString>) {
    match told {
        Told::UpTo(position) if *position == value.position => {}
        Told::UpTo(position) if same_history(&position.epoch, value) => frames.push(value.up()),
        Told::UpTo(_) => frames.push(value.snap(Why::Reset)),
        Told::Asked { id, since } => {
            let follows = since.as_ref().is_some_and(|since| {
                since.is_at(&value.position) || since.is_before(&value.position)
            });
            frames.push(encode(&FromServer::Ok {
                id: *id,
                topic: &topic.to_string(),
                e: value.position.epoch.as_str(),
                s: value.position.seq.get(),
                recovered: follows,
            }));
            match since {
                None => frames.push(value.snap(Why::New)),
                Some(_) if !follows => frames.push(value.snap(Why::Reset)),
                Some(since) if since.is_before(&value.position) => frames.push(value.up()),
                Some(_) => {}
            }
        }
    }
}

fn same_history(epoch: &Epoch, value: &crate::hub::Value) -> bool {
    *epoch == value.position.epoch
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        for topic in self.topics.keys() {
            self.hub.unfollow(*topic, self.viewer);
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_core::{AccountId, AccountProgress, Progress, Seq};

    use super::*;

    struct Viewer {
        hub: Hub,
        topic: Topic,
        subscriptions: Subscriptions,
    }

    fn viewer() -> Viewer {
        let hub = Hub::default();
        let subscriptions = Subscriptions::new(hub.clone(), 1);
        Viewer {
            hub,
            topic: Topic::Account(AccountId::new()),
            subscriptions,
        }
    }

    impl Viewer {
        fn publish(&self, attempt: i32, seq: i64) {
            let position = Position {
                epoch: Epoch::new("t", attempt),
                seq: Seq::new(seq).unwrap(),
            };
            let progress = Progress::Account(AccountProgress {
                uploads: vec![],
                jobs: vec![],
            });
            self.hub.publish(self.topic, position, progress);
        }

        /// The kinds of frames that are due, with `why` or `recovered` where they have one.
        fn news(&mut self) -> Vec<String> {
            let frames = self.subscriptions.news();
            frames.iter().map(|frame| kind(frame)).collect()
        }
    }

    fn kind(frame: &str) -> String {
        let json: serde_json::Value = serde_json::from_str(frame).unwrap();
        let mut kind = json["t"].as_str().unwrap().to_owned();
        if let Some(why) = json["why"].as_str() {
            kind = format!("{kind} {why}");
        }
        if let Some(recovered) = json["recovered"].as_bool() {
            kind = format!("{kind} {recovered}");
        }
        kind
    }

    #[test]
    fn a_new_viewer_gets_the_whole_and_then_what_changes() {
        let mut viewer = viewer();
        viewer.subscriptions.follow(viewer.topic, 1, None);
        assert_eq!(viewer.news(), Vec::<String>::new(), "there is no value yet");

        viewer.publish(0, 3);
        assert_eq!(viewer.news(), ["ok false", "snap new"]);
        assert_eq!(viewer.news(), Vec::<String>::new());

        viewer.publish(0, 4);
        viewer.publish(0, 9);
        assert_eq!(viewer.news(), ["up"], "two changes, one frame");

        viewer.publish(1, 1);
        assert_eq!(viewer.news(), ["snap reset"]);
    }

    #[test]
    fn a_viewer_who_comes_back_gets_only_what_is_missing() {
        let since = |e: &str, s| Some(Since { e: e.to_owned(), s });
        for (since, expected) in [
            (since("t.0", 5), vec!["ok true"]),
            (since("t.0", 2), vec!["ok true", "up"]),
            (since("t.9", 5), vec!["ok false", "snap reset"]),
            (since("t.0", 8), vec!["ok false", "snap reset"]),
        ] {
            let mut viewer = viewer();
            viewer.subscriptions.follow(viewer.topic, 1, since.clone());
            viewer.publish(0, 5);
            assert_eq!(viewer.news(), expected, "{since:?}");
        }
    }

    #[test]
    fn a_topic_that_goes_is_told_once_and_left() {
        let mut viewer = viewer();
        viewer.subscriptions.follow(viewer.topic, 1, None);

        viewer.hub.gone(viewer.topic);

        assert_eq!(viewer.news(), ["gone"]);
        assert_eq!(viewer.news(), Vec::<String>::new());
        assert!(viewer.hub.followed().is_empty());
    }

    #[test]
    fn a_viewer_who_leaves_leaves_every_topic() {
        let mut viewer = viewer();
        viewer.subscriptions.follow(viewer.topic, 1, None);

        drop(viewer.subscriptions);

        assert!(viewer.hub.followed().is_empty());
    }
}
