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
use tokio::time::{Instant, sleep_until};

use crate::frame::{Since, Why, snap, turns, up};
use crate::pace::{Pace, When, only_goes_on};

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
    told_at: Option<Instant>,
    /// When viewers are to be told of what `latest` is, if they have not been.
    due_at: Option<Instant>,
}

/// What is followed, and when viewers are told of it.
#[derive(Default)]
struct Topics {
    followed: HashMap<Topic, Followed>,
    pace: Pace,
}

/// The topics of this process. Cheap to clone.
#[derive(Clone)]
pub struct Hub(Arc<Inner>);

struct Inner {
    // A plain mutex: it is held for a map lookup and never across an await.
    topics: Mutex<Topics>,
    // Rung when a topic begins to wait.
    paced: Notify,
    // Topics that somebody has begun to follow and that have no value yet.
    wanted: Mutex<BTreeSet<Topic>>,
    wanted_rung: Notify,
    // By when everybody should be elsewhere.
    draining: watch::Sender<Option<Instant>>,
    stale: watch::Sender<bool>,
}

impl Default for Hub {
    fn default() -> Self {
        Self(Arc::new(Inner {
            topics: Mutex::default(),
            paced: Notify::new(),
            wanted: Mutex::default(),
            wanted_rung: Notify::new(),
            draining: watch::Sender::new(None),
            stale: watch::Sender::new(false),
        }))
    }
}

impl Hub {
    /// Makes `progress` what a topic is; ignored when nobody follows it, or when
    /// a later value of the same history is known already. Viewers are told at once if
    /// it is the first for a while or more than further progress, else by [`Hub::pace`].
    pub fn publish(&self, topic: Topic, position: Position, progress: Progress) {
        let mut topics = self.topics();
        let Some(followed) = topics.followed.get_mut(&topic) else {
            return;
        };
        let mut urgent = true;
        if let Some(Latest::At(known)) = followed.latest.as_deref()
            && known.position.epoch == position.epoch
        {
            if known.position.seq >= position.seq {
                return;
            }
            urgent = !only_goes_on(&known.progress, &progress);
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
        followed.latest = Some(Arc::new(Latest::At(Box::new(value))));
        if topics.tell(topic, urgent, Instant::now()) {
            self.0.paced.notify_one();
        }
    }

    /// Says that there is no such topic, or not any more.
    pub fn gone(&self, topic: Topic) {
        let mut topics = self.topics();
        if let Some(followed) = topics.followed.get_mut(&topic) {
            followed.latest = Some(Arc::new(Latest::Gone));
            topics.tell(topic, true, Instant::now());
        }
    }

    /// Tells viewers what they were not told at once, for as long as the process lives.
    pub async fn pace(&self) {
        loop {
            let next = self.topics().tell_due(Instant::now());
            let due = async {
                match next {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = due => {}
                () = self.0.paced.notified() => {}
            }
        }
    }

    /// Whether anybody follows anything.
    pub fn is_followed(&self) -> bool {
        !self.topics().followed.is_empty()
    }

    /// The topics that somebody follows.
    pub fn followed(&self) -> Vec<Topic> {
        self.topics().followed.keys().copied().collect()
    }

    /// Those of `topics` that somebody follows.
    pub fn followed_of(&self, topics: &BTreeSet<Topic>) -> Vec<Topic> {
        let here = self.topics();
        topics
            .iter()
            .filter(|topic| here.followed.contains_key(topic))
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

    /// Says whether what is known here may be out of date, because it cannot be read
    /// anew. It stays what viewers are shown.
    pub fn set_stale(&self, stale: bool) {
        self.0
            .stale
            .send_if_modified(|was| std::mem::replace(was, stale) != stale);
    }

    pub(crate) fn stale(&self) -> watch::Receiver<bool> {
        self.0.stale.subscribe()
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
            let followed = topics.followed.entry(topic).or_default();
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
        let Some(followed) = topics.followed.get_mut(&topic) else {
            return;
        };
        followed.viewers.remove(&viewer);
        if followed.viewers.is_empty() {
            // Nobody keeps the value current from here on.
            if let Some(due) = followed.due_at {
                topics.pace.forget(due, topic);
            }
            topics.followed.remove(&topic);
        }
    }

    pub(crate) fn latest(&self, topic: Topic) -> Option<Arc<Latest>> {
        self.topics()
            .followed
            .get(&topic)
            .and_then(|followed| followed.latest.clone())
    }

    fn topics(&self) -> std::sync::MutexGuard<'_, Topics> {
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
}

impl Topics {
    /// Tells the viewers of a topic that it has changed, now or when it is its turn;
    /// whether it began to wait.
    fn tell(&mut self, topic: Topic, urgent: bool, now: Instant) -> bool {
        let Some(followed) = self.followed.get_mut(&topic) else {
            return false;
        };
        if !urgent {
            if followed.due_at.is_some() {
                return false;
            }
            if let When::At(due) = self.pace.when(followed.told_at, now) {
                followed.due_at = Some(due);
                self.pace.wait(due, topic);
                return true;
            }
        }
        if let Some(due) = followed.due_at.take() {
            self.pace.forget(due, topic);
        }
        followed.told_at = Some(now);
        for wake in followed.viewers.values() {
            wake.notify_one();
        }
        self.pace.told(followed.viewers.len(), now);
        false
    }

    /// Tells of what is due; when there will be more.
    fn tell_due(&mut self, now: Instant) -> Option<Instant> {
        for topic in self.pace.take(now) {
            if let Some(followed) = self.followed.get_mut(&topic) {
                followed.due_at = None;
                self.tell(topic, true, now);
            }
        }
        self.pace.next()
    }
}

#[cfg(test)]
mod tests;
