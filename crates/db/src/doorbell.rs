//! Which topics this process has changed and not yet told anybody about.
//!
//! It never sends anything: whoever waits on it does, after the change is
//! committed, and several changes of one topic become one.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use slipway_core::Topic;
use tokio::sync::Notify;

/// Topics that may wait to be told about; each is a few dozen bytes. More than
/// that, and "something changed" is told instead of what.
const WAITING_MAX: usize = 4096;

/// Collects changed topics; see [`Doorbell::changed`].
#[derive(Default)]
pub struct Doorbell {
    // A plain mutex, because nothing is awaited while it is held.
    waiting: Mutex<Waiting>,
    rung: Notify,
}

#[derive(Default)]
struct Waiting {
    topics: BTreeSet<Topic>,
    claimed: BTreeSet<Topic>,
    overflowed: bool,
}

/// What has changed since the last time it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These.
    Of {
        /// Topics with a new state.
        topics: BTreeSet<Topic>,
        /// Uploads that a connection here has taken over: other processes must know,
        /// and viewers see no difference.
        claimed: BTreeSet<Topic>,
    },
    /// More than could be kept: any topic may have changed.
    OfAnything,
}

impl Doorbell {
    /// Notes that `topics` have changed, after the change was committed.
    pub(crate) fn ring(&self, topics: impl IntoIterator<Item = Topic>) {
        self.note(|waiting| waiting.topics.extend(topics));
    }

    /// Notes that an upload was taken over, after that was committed.
    pub(crate) fn claimed(&self, topic: Topic) {
        self.note(|waiting| {
            waiting.claimed.insert(topic);
        });
    }

    fn note(&self, note: impl FnOnce(&mut Waiting)) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            note(&mut waiting);
            if waiting.topics.len() + waiting.claimed.len() > WAITING_MAX {
                *waiting = Waiting {
                    overflowed: true,
                    ..Waiting::default()
                };
            }
        }
        self.rung.notify_one();
    }

    /// Waits until something has changed and takes it. One waiter at a time.
    pub async fn changed(&self) -> Changes {
        loop {
            if let Some(changes) = self.take() {
                return changes;
            }
            self.rung.notified().await;
        }
    }

    fn take(&self) -> Option<Changes> {
        let waiting =
            std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        match waiting {
            Waiting {
                overflowed: true, ..
            } => Some(Changes::OfAnything),
            Waiting {
                topics, claimed, ..
            } if topics.is_empty() && claimed.is_empty() => None,
            Waiting {
                topics, claimed, ..
            } => Some(Changes::Of { topics, claimed }),
        }
    }
}

#[cfg(test)]
mod tests {
    use slipway_core::JobId;

    use super::*;

    #[tokio::test]
    async fn several_changes_of_a_topic_are_told_once() {
        let bell = Doorbell::default();
        let topic = Topic::Job(JobId::new());

        bell.ring([topic]);
        bell.ring([topic]);

        let expected = Changes::Of {
            topics: BTreeSet::from([topic]),
            claimed: BTreeSet::new(),
        };
        assert_eq!(bell.changed().await, expected);
        assert_eq!(bell.take(), None);
    }

    #[tokio::test]
    async fn too_many_changes_become_one_that_means_all() {
        let bell = Doorbell::default();

        bell.ring((0..=WAITING_MAX).map(|_| Topic::Job(JobId::new())));

        assert_eq!(bell.changed().await, Changes::OfAnything);
    }
}
