//! What one viewer follows, and how far they have been told.
//!
//! It never sends: it says which frames would bring its viewer up to date now.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytestring::ByteString;
use slipway_core::Topic;
use tokio::sync::Notify;

use crate::frame::{FromServer, Reason, Since, encode};
use crate::hub::{Hub, Lacks, Latest, Value};

/// Topics that one viewer may follow: a page of a list, its jobs, and room.
pub(crate) const TOPICS_MAX: usize = 64;

/// How far a viewer has been told about a topic.
enum Told {
    /// They asked, and there was no value yet.
    Asked { id: u64, since: Option<Since> },
    /// Everything up to here.
    UpTo(Since),
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
        let wake = Arc::clone(&self.wake);
        self.hub.follow(topic, self.viewer, wake, since.as_ref());
        self.topics.insert(topic, Told::Asked { id, since });
        self.wake.notify_one();
    }

    /// Follows a topic no longer.
    pub(crate) fn unfollow(&mut self, topic: Topic) {
        if self.topics.remove(&topic).is_some() {
            self.hub.unfollow(topic, self.viewer);
        }
    }

    /// How far the viewer has been told of each topic.
    pub(crate) fn told(&self) -> BTreeMap<String, i64> {
        let told = self.topics.iter().filter_map(|(topic, told)| match told {
            Told::Asked { .. } => None,
            Told::UpTo(position) => Some((topic.to_string(), position.s)),
        });
        told.collect()
    }

    /// Whether these positions could be the viewer's: nobody is ahead of what they
    /// were told. What they do not follow any more is not looked at.
    pub(crate) fn could_be(&self, positions: &BTreeMap<String, i64>) -> bool {
        let told = self.told();
        positions
            .iter()
            .all(|(topic, s)| told.get(topic).is_none_or(|told| s <= told))
    }

    /// Follows nothing any more.
    pub(crate) fn unfollow_all(&mut self) {
        for topic in std::mem::take(&mut self.topics).into_keys() {
            self.hub.unfollow(topic, self.viewer);
        }
    }

    /// Whatever is followed.
    pub(crate) fn topics(&self) -> Vec<Topic> {
        self.topics.keys().copied().collect()
    }

    /// The frames that bring the viewer up to date, at most a few a topic; no further
    /// topics once there are so many bytes.
    pub(crate) fn news(&mut self, bytes_max: usize) -> Vec<ByteString> {
        let (mut frames, mut bytes) = (Vec::new(), 0);
        let mut gone = Vec::new();
        for (topic, told) in &mut self.topics {
            if bytes >= bytes_max {
                break;
            }
            let before = frames.len();
            match self.hub.latest(*topic).as_deref() {
                None => {}
                Some(Latest::Gone) => {
                    let text = topic.to_string();
                    frames.push(encode(&FromServer::Gone {
                        topic: &text,
                        reason: Reason::Deleted,
                    }));
                    gone.push(*topic);
                }
                Some(Latest::At(value)) => tell(*topic, told, value, &mut frames),
            }
            bytes += frames[before..]
                .iter()
                .map(|frame| frame.len())
                .sum::<usize>();
        }
        for topic in gone {
            self.unfollow(topic);
        }
        frames
    }
}

/// Adds the frames that bring a viewer from `told` to `value`.
fn tell(topic: Topic, told: &mut Told, value: &Value, frames: &mut Vec<ByteString>) {
    let (since, answers) = match &*told {
        Told::UpTo(position) => (Some(position), None),
        Told::Asked { id, since } => (since.as_ref(), Some(*id)),
    };
    let lacks = value.lacked_by(since);
    if let Some(id) = answers {
        frames.push(encode(&FromServer::Ok {
            id,
            topic: &topic.to_string(),
            e: value.position.epoch.as_str(),
            s: value.position.seq.get(),
            recovered: !matches!(lacks, Lacks::Whole(_)),
        }));
    }
    match lacks {
        Lacks::Nothing if answers.is_none() => return,
        Lacks::Nothing => {}
        Lacks::Changes { since } => {
            frames.extend(value.turns(since));
            frames.push(value.up());
        }
        Lacks::Whole(why) => frames.push(value.snap(why)),
    }
    *told = Told::UpTo(Since::from(&value.position));
}

impl Drop for Subscriptions {
    fn drop(&mut self) {
        self.unfollow_all();
    }
}

#[cfg(test)]
mod tests {
    use slipway_core::{AccountId, JobId, JobKind, JobProgress, JobState, Progress, UploadId};

    use super::*;
    use crate::samples::{at, list};

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
            self.hub.publish(self.topic, at(attempt, seq), list(&[]));
        }

        /// The kinds of frames that are due, with `why` or `recovered` where they have one.
        fn news(&mut self) -> Vec<String> {
            let frames = self.subscriptions.news(usize::MAX);
            frames.iter().map(|frame| kind(frame)).collect()
        }
    }

    fn job(state: JobState) -> Progress {
        Progress::Job(JobProgress {
            kind: JobKind::Inspect,
            upload: UploadId::new(),
            state,
            step: None,
            done: 0,
            total: None,
            unit: "bytes".to_owned(),
            rate: None,
            attempt: 1,
            message: None,
        })
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
    fn turns_are_told_to_a_viewer_who_skipped_them() {
        let hub = Hub::default();
        let topic = Topic::Job(JobId::new());
        let mut subscriptions = Subscriptions::new(hub.clone(), 1);
        subscriptions.follow(topic, 1, None);
        let publish = |seq, state| hub.publish(topic, at(0, seq), job(state));
        publish(1, JobState::Queued);
        let kinds = |frames: Vec<ByteString>| -> Vec<String> {
            frames.iter().map(|frame| kind(frame)).collect()
        };
        assert_eq!(
            kinds(subscriptions.news(usize::MAX)),
            ["ok false", "snap new"]
        );

        publish(2, JobState::Running);
        publish(3, JobState::Running);
        publish(4, JobState::Done);

        assert_eq!(kinds(subscriptions.news(usize::MAX)), ["ev", "ev", "up"]);
        assert_eq!(kinds(subscriptions.news(usize::MAX)), Vec::<String>::new());
    }

    #[test]
    fn nobody_is_ahead_of_what_they_were_told() {
        let mut viewer = viewer();
        viewer.subscriptions.follow(viewer.topic, 1, None);
        viewer.publish(0, 5);
        viewer.news();
        let claim = |topic: &Topic, s| BTreeMap::from([(topic.to_string(), s)]);

        let told = &viewer.subscriptions;
        assert_eq!(told.told(), claim(&viewer.topic, 5));
        assert!(told.could_be(&claim(&viewer.topic, 5)) && told.could_be(&BTreeMap::new()));
        assert!(!told.could_be(&claim(&viewer.topic, 6)));
        assert!(told.could_be(&claim(&Topic::Job(JobId::new()), 99)));
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
