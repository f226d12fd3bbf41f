//! When viewers of a topic are told: at once of what matters, and now and then of
//! what only goes on.
//!
//! It never holds a value: whoever is told late is told the newest.

use std::collections::BTreeSet;
use std::time::Duration;

use slipway_core::{JobProgress, Progress, Topic, UploadProgress};
use tokio::time::Instant;

/// A topic that only goes on is told of at most this often: four times a second is as
/// much as a person can follow.
pub(crate) const TOLD_EVERY: Duration = Duration::from_millis(250);

/// Rest for each viewer who was told. One costs 13 us of a core, measured with small
/// frames on loopback; at most 0.4 of a core may go into telling what only goes on,
/// hence 13 us / 0.4. A thousand viewers of a topic give 32 ms, ten thousand 325 ms.
const REST_EACH: Duration = Duration::from_nanos(32_500);

/// The longest rest, however many viewers there are: a bar that stands still for
/// longer than a second looks broken.
const REST_MAX: Duration = Duration::from_secs(1);

/// Topics with news that may wait, and until when they must.
pub(crate) struct Pace {
    waiting: BTreeSet<(Instant, Topic)>,
    rest_until: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            waiting: BTreeSet::new(),
            rest_until: Instant::now(),
        }
    }
}

/// What became of a change that is not urgent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// It may be told now.
    Now,
    /// It will be told when this comes.
    At(Instant),
}

impl Pace {
    /// When a change of a topic that was told of at `told_at` may be told.
    pub(crate) fn when(&self, told_at: Option<Instant>, now: Instant) -> When {
        let due = told_at.map_or(now, |at| at + TOLD_EVERY);
        let due = due.max(self.rest_until);
        if due <= now { When::Now } else { When::At(due) }
    }

    /// Lets a topic wait.
    pub(crate) fn wait(&mut self, until: Instant, topic: Topic) {
        self.waiting.insert((until, topic));
    }

    /// A topic that waited need not any more.
    pub(crate) fn forget(&mut self, until: Instant, topic: Topic) {
        self.waiting.remove(&(until, topic));
    }

    /// So many viewers were told.
    pub(crate) fn told(&mut self, viewers: usize, now: Instant) {
        let viewers = u32::try_from(viewers).unwrap_or(u32::MAX);
        let rest = REST_EACH.saturating_mul(viewers);
        self.rest_until = (self.rest_until.max(now) + rest).min(now + REST_MAX);
    }

    /// When the next topic is to be told of.
    pub(crate) fn next(&self) -> Option<Instant> {
        let (due, _) = self.waiting.first()?;
        Some((*due).max(self.rest_until))
    }

    /// Takes the topics whose time has come. All of them in one go, so that somebody who
    /// follows several gets one frame.
    pub(crate) fn take(&mut self, now: Instant) -> Vec<Topic> {
        if self.rest_until > now {
            return Vec::new();
        }
        let mut due = Vec::new();
        while let Some((at, topic)) = self.waiting.pop_first() {
            if at > now {
                self.waiting.insert((at, topic));
                break;
            }
            due.push(topic);
        }
        due
    }
}

/// Whether the only news is that the same thing has got further.
pub(crate) fn only_goes_on(before: &Progress, after: &Progress) -> bool {
    match (before, after) {
        (Progress::Upload(before), Progress::Upload(after)) => {
            *after
                == UploadProgress {
                    stored: after.stored,
                    rate: after.rate,
                    ..before.clone()
                }
        }
        (Progress::Job(before), Progress::Job(after)) => {
            *after
                == JobProgress {
                    done: after.done,
                    rate: after.rate,
                    ..before.clone()
                }
        }
        // A list changes when something appears, turns or goes.
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use slipway_core::{AccountId, ByteCount, UploadState};

    use super::*;

    fn upload(stored: u32, state: UploadState) -> Progress {
        Progress::Upload(UploadProgress {
            state,
            stored: ByteCount::from_u32(stored),
            ..crate::samples::upload()
        })
    }

    #[test]
    fn bytes_only_go_on_and_a_state_is_a_turn() {
        let at = |stored| upload(stored, UploadState::Receiving);

        assert!(only_goes_on(&at(1), &at(2)));
        assert!(!only_goes_on(&at(1), &upload(2, UploadState::Stored)));
    }

    #[test]
    fn a_topic_waits_for_its_turn_and_all_for_the_rest() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        assert_eq!(pace.when(None, now), When::Now);
        assert_eq!(pace.when(Some(now), now), When::At(now + TOLD_EVERY));

        pace.told(1000, now);
        assert_eq!(
            pace.when(None, now),
            When::At(now + Duration::from_micros(32_500))
        );
        pace.told(1_000_000, now);
        assert_eq!(pace.when(None, now), When::At(now + REST_MAX));
    }

    #[test]
    fn what_is_due_is_taken_together() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let topics = [(); 3].map(|()| Topic::Account(AccountId::new()));
        for (topic, milliseconds) in topics.into_iter().zip([10, 20, 30]) {
            pace.wait(now + Duration::from_millis(milliseconds), topic);
        }
        assert_eq!(pace.next(), Some(now + Duration::from_millis(10)));

        let due = pace.take(now + Duration::from_millis(25));

        assert_eq!(due, topics[..2]);
        assert_eq!(pace.next(), Some(now + Duration::from_millis(30)));
        pace.forget(now + Duration::from_millis(30), topics[2]);
        assert_eq!(pace.next(), None);
    }
}
