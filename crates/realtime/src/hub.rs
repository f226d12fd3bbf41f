//! The latest value of every topic that somebody on this process follows.
//!
//! It never keeps a history, but for the last few turns of a topic, and never waits
//! for a viewer.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytestring::ByteString;
use slipway_core::{Position, Progress, Topic};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::frame::{Since, Why, snap, turns, up};

/// Turns kept of a topic. A file turns four times in its life; a job a few times, and
/// again with each step. At about 200 bytes each that is 3 KB a topic at most.
const TURNS_MAX: usize = 16;

/// What a topic is now, with its frames encoded at most once.
#[derive(Debug)]
pub(crate) enum Latest {
    At(Box<Value>),
    Gone,
}

/// A state and its frames.
#[derive(Debug)]
pub(crate) struct Value {
    topic: Topic,
    pub(crate) position: Position,
    progress: Progress,
    turns: Arc<[(i64, ByteString)]>,
    up: OnceLock<ByteString>,
    snap: OnceLock<ByteString>,
}

/// What a viewer lacks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lacks {
    Nothing,
    /// What has changed since a position of the same history.
    Changes {
        since: i64,
    },
    /// All of it.
    Whole(Why),
}

impl Value {
    /// What somebody lacks who has `since`.
    pub(crate) fn lacked_by(&self, since: Option<&Since>) -> Lacks {
        match since {
            None => Lacks::Whole(Why::New),
            Some(since) if since.is_at(&self.position) => Lacks::Nothing,
            Some(since) if since.is_before(&self.position) => Lacks::Changes { since: since.s },
            Some(_) => Lacks::Whole(Why::Reset),
        }
    }

    /// The turns after `since`, as far as they are kept.
    pub(crate) fn turns(&self, since: i64) -> impl Iterator<Item = ByteString> + '_ {
        let later = self.turns.iter().filter(move |(seq, _)| *seq > since);
        later.map(|(_, frame)| frame.clone())
    }

    /// For a viewer who has an earlier state of the same history.
    pub(crate) fn up(&self) -> ByteString {
        self.up
            .get_or_init(|| up(&self.topic, &self.position, &self.progress))
            .clone()
    }

    /// For a viewer who has nothing that fits.
    pub(crate) fn snap(&self, why: Why) -> ByteString {
        match why {
            Why::New => self
                .snap
                .get_or_init(|| snap(&self.topic, &self.position, &self.progress, why))
                .clone(),
            // Rare: one viewer that comes back after a restore or a retry.
            Why::Reset => snap(&self.topic, &self.position, &self.progress, why),
        }
    }
}

/// A topic that somebody follows.
#[derive(Default)]
struct Followed {
    latest: Option<Arc<Latest>>,
    viewers: HashMap<u64, Arc<Notify>>,
}

/// The topics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    // A plain mutex: it is held for a map lookup and never across an await.
    topics: Mutex<HashMap<Topic, Followed>>,
    // Topics that somebody has begun to follow and that have no value yet.
    wanted: Mutex<BTreeSet<Topic>>,
    wanted_rung: Notify,
    // By when everybody should be elsewhere.
    draining: watch::Sender<Option<Instant>>,
}

impl Default for Hub {
    fn default() -> Self {
        Self(Arc::new(Inner {
            topics: Mutex::default(),
            wanted: Mutex::default(),
            wanted_rung: Notify::new(),
            draining: watch::Sender::new(None),
        }))
    }
}

impl Hub {
    /// Makes `progress` what a topic is; ignored when nobody follows it, or when
    /// a later value of the same history is known already.
    pub fn publish(&self, topic: Topic, position: Position, progress: Progress) {
        let mut topics = self.topics();
        let Some(followed) = topics.get_mut(&topic) else {
            return;
        };
        if let Some(Latest::At(known)) = followed.latest.as_deref()
            && known.position.epoch == position.epoch
            && known.position.seq >= position.seq
        {
            return;
        }
        let turns = followed.turns_to(&topic, &position, &progress);
        let value = Value {
            topic,
            position,
            progress,
            turns,
            up: OnceLock::new(),
            snap: OnceLock::new(),
        };
        followed.tell(Latest::At(Box::new(value)));
    }

    /// Says that there is no such topic, or not any more.
    pub fn gone(&self, topic: Topic) {
        if let Some(followed) = self.topics().get_mut(&topic) {
            followed.tell(Latest::Gone);
        }
    }

    /// Whether anybody follows anything.
    pub fn is_followed(&self) -> bool {
        !self.topics().is_empty()
    }

    /// The topics that somebody follows.
    pub fn followed(&self) -> Vec<Topic> {
        self.topics().keys().copied().collect()
    }

    /// Those of `topics` that somebody follows.
    pub fn followed_of(&self, topics: &BTreeSet<Topic>) -> Vec<Topic> {
        let followed = self.topics();
        topics
            .iter()
            .filter(|topic| followed.contains_key(topic))
            .copied()
            .collect()
    }

    /// Waits for topics that somebody has begun to follow and that have no value
    /// yet, and takes them. One waiter at a time.
    pub async fn wanted(&self) -> Vec<Topic> {
        loop {
            let wanted =
                std::mem::take(&mut *self.0.wanted.lock().unwrap_or_else(PoisonError::into_inner));
            if !wanted.is_empty() {
                return wanted.into_iter().collect();
            }
            self.0.wanted_rung.notified().await;
        }
    }

    /// Asks every socket to send its viewer elsewhere, spread over `within`.
    pub fn drain(&self, within: Duration) {
        self.0.draining.send_replace(Some(Instant::now() + within));
    }

    /// Waits until viewers are sent elsewhere; what is left of the time they have.
    pub(crate) async fn drained(&self) -> Duration {
        let mut draining = self.0.draining.subscribe();
        loop {
            if let Some(until) = *draining.borrow_and_update() {
                return until.saturating_duration_since(Instant::now());
            }
            if draining.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Registers a viewer first, so that no value after this is missed; whether
    /// there is one yet, [`Hub::latest`] says. A viewer who has seen more than is
    /// known here, on another process, makes it be read again: only then can it be
    /// told whether they are ahead or in another history.
    pub(crate) fn follow(
        &self,
        topic: Topic,
        viewer: u64,
        wake: Arc<Notify>,
        since: Option<&Since>,
    ) {
        let known = {
            let mut topics = self.topics();
            let followed = topics.entry(topic).or_default();
            followed.viewers.insert(viewer, wake);
            if let (Some(Latest::At(value)), Some(since)) = (followed.latest.as_deref(), since)
                && value.position.epoch.as_str() == since.e
                && value.position.seq.get() < since.s
            {
                followed.latest = None;
            }
            followed.latest.is_some()
        };
        if !known {
            self.0
                .wanted
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .insert(topic);
            self.0.wanted_rung.notify_one();
        }
    }

    pub(crate) fn unfollow(&self, topic: Topic, viewer: u64) {
        let mut topics = self.topics();
        if let Some(followed) = topics.get_mut(&topic) {
            followed.viewers.remove(&viewer);
            if followed.viewers.is_empty() {
                // Nobody keeps the value current from here on.
                topics.remove(&topic);
            }
        }
    }

    pub(crate) fn latest(&self, topic: Topic) -> Option<Arc<Latest>> {
        self.topics()
            .get(&topic)
            .and_then(|followed| followed.latest.clone())
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, HashMap<Topic, Followed>> {
        // Each change of the map is one call, so a panic leaves it whole.
        self.0.topics.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Followed {
    /// The turns so far, with those that lead to a new state.
    fn turns_to(
        &self,
        topic: &Topic,
        position: &Position,
        progress: &Progress,
    ) -> Arc<[(i64, ByteString)]> {
        let Some(Latest::At(known)) = self.latest.as_deref() else {
            return Arc::default();
        };
        // Another history begins with a whole state, and its viewers have seen no other.
        if known.position.epoch != position.epoch {
            return Arc::default();
        }
        let new = turns(topic, position, &known.progress, progress);
        if new.is_empty() {
            return Arc::clone(&known.turns);
        }
        let seq = position.seq.get();
        let mut all = known.turns.to_vec();
        all.extend(new.into_iter().map(|frame| (seq, frame)));
        let surplus = all.len().saturating_sub(TURNS_MAX);
        all.drain(..surplus);
        all.into()
    }

    fn tell(&mut self, latest: Latest) {
        self.latest = Some(Arc::new(latest));
        for wake in self.viewers.values() {
            wake.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_core::{AccountId, AccountProgress, Epoch, Seq};

    use super::*;

    fn at(epoch: i32, seq: i64) -> Position {
        Position {
            epoch: Epoch::new("t", epoch),
            seq: Seq::new(seq).unwrap(),
        }
    }

    fn nothing() -> Progress {
        Progress::Account(AccountProgress {
            uploads: vec![],
            jobs: vec![],
        })
    }

    fn known(hub: &Hub, topic: Topic) -> Option<(String, i64)> {
        match hub.latest(topic).as_deref() {
            Some(Latest::At(value)) => {
                Some((value.position.epoch.to_string(), value.position.seq.get()))
            }
            _ => None,
        }
    }

    #[tokio::test]
    async fn what_nobody_follows_is_not_kept() {
        let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
        hub.publish(topic, at(0, 1), nothing());
        assert!(hub.latest(topic).is_none());

        hub.follow(topic, 1, Arc::default(), None);
        assert_eq!(hub.wanted().await, [topic]);
        hub.publish(topic, at(0, 1), nothing());
        assert!(known(&hub, topic).is_some());

        hub.unfollow(topic, 1);
        assert!(hub.latest(topic).is_none() && !hub.is_followed());
    }

    #[test]
    fn a_topic_never_goes_backwards_within_an_epoch() {
        let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
        hub.follow(topic, 1, Arc::default(), None);

        for (epoch, seq) in [(0, 5), (0, 4), (0, 5)] {
            hub.publish(topic, at(epoch, seq), nothing());
            assert_eq!(known(&hub, topic), Some(("t.0".to_owned(), 5)));
        }

        hub.publish(topic, at(1, 1), nothing());
        assert_eq!(known(&hub, topic), Some(("t.1".to_owned(), 1)));
    }

    #[tokio::test]
    async fn a_viewer_who_has_seen_more_makes_it_be_read_again() {
        let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
        hub.follow(topic, 1, Arc::default(), None);
        assert_eq!(hub.wanted().await, [topic]);
        hub.publish(topic, at(0, 5), nothing());

        let ahead: Since = "t.0:8".parse().unwrap();
        hub.follow(topic, 2, Arc::default(), Some(&ahead));

        assert_eq!(hub.wanted().await, [topic]);
        assert!(hub.latest(topic).is_none(), "what is behind is not told");
        hub.publish(topic, at(0, 8), nothing());
        assert_eq!(known(&hub, topic), Some(("t.0".to_owned(), 8)));
    }

    #[tokio::test]
    async fn every_viewer_is_woken() {
        let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
        let wakes: [Arc<Notify>; 2] = Default::default();
        for (viewer, wake) in (1..).zip(&wakes) {
            hub.follow(topic, viewer, Arc::clone(wake), None);
        }

        hub.publish(topic, at(0, 1), nothing());

        for wake in &wakes {
            tokio::time::timeout(Duration::from_secs(5), wake.notified())
                .await
                .unwrap();
        }
    }
}
