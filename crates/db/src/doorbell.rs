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
    overflowed: bool,
}

/// What has changed since the last time it was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// These topics.
    Of(BTreeSet<Topic>),
    /// More than could be kept: any topic may have changed.
    OfAnything,
}

impl Doorbell {
    /// Notes that `topics` have changed, after the change was committed.
    pub(crate) fn ring(&self, topics: impl IntoIterator<Item = Topic>) {
        {
            let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.topics.extend(topics);
            if waiting.topics.len() > WAITING_MAX {
                waiting.topics.clear();
                waiting.overflowed = true;
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
            Waiting { topics, .. } if topics.is_empty() => None,
            Waiting { topics, .. } => Some(Changes::Of(topics)),
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

        assert_eq!(bell.changed().await, Changes::Of(BTreeSet::from([topic])));
        assert_eq!(bell.take(), None);
    }

    #[tokio::test]
    async fn too_many_changes_become_one_that_means_all() {
        let bell = Doorbell::default();

        bell.ring((0..=WAITING_MAX).map(|_| Topic::Job(JobId::new())));

        assert_eq!(bell.changed().await, Changes::OfAnything);
    }
}
