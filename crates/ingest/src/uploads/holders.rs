//! The connections of this process that are sending uploads, so that whoever is
//! superseded can be told at once.
//!
//! It never decides who is: the number in the row does. A connection that is never
//! told still cannot write; it would only sit there.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use slipway_core::{Topic, UploadId};
use slipway_db::Bid;
use tokio::sync::watch;
use tokio::time::timeout;

use super::standing::{Standing, Standings};
use crate::Ingest;

/// How long whoever asks for an offset waits for the connection before it to store
/// what it has: several commits. Bytes that take longer are sent again.
const FLUSH_WAIT: Duration = Duration::from_millis(100);

/// All connections that are sending. Cheap to clone; an entry for each request with
/// bytes, gone when the request is.
#[derive(Clone, Default)]
pub(crate) struct Holders(Arc<Mutex<Known>>);

/// Who holds what.
#[derive(Default)]
struct Known {
    sending: HashMap<UploadId, Vec<Held>>,
    standing: Standings,
}

/// One of them, seen from outside.
struct Held {
    /// `None` while it claims the upload: it may be superseded before it knows.
    writer: Option<i64>,
    /// The newest writer that was heard of.
    newest: i64,
    stop: watch::Sender<bool>,
    /// Closed when the connection is done.
    done: watch::Receiver<()>,
}

/// One of them, seen from inside.
pub(crate) struct Holding {
    holders: Holders,
    id: UploadId,
    stopped: watch::Receiver<bool>,
    _done: watch::Sender<()>,
}

impl Holders {
    /// Notes that a connection is about to claim an upload.
    pub(super) fn enter(&self, id: UploadId) -> Holding {
        let (stop, stopped) = watch::channel(false);
        let (done, watched) = watch::channel(());
        let held = Held {
            writer: None,
            newest: i64::MIN,
            stop,
            done: watched,
        };
        self.lock().sending.entry(id).or_default().push(held);
        Holding {
            holders: self.clone(),
            id,
            stopped,
            _done: done,
        }
    }

    /// Stops every connection that is older than writer number `newest`.
    pub(super) fn supersede(&self, id: UploadId, newest: i64) {
        let mut known = self.lock();
        known.standing.supersede(id, newest);
        for held in known.sending.get_mut(&id).into_iter().flatten() {
            held.newest = held.newest.max(newest);
            held.stop_if_superseded();
        }
    }

    /// Stops whoever is sending and waits until what has arrived is stored, but
    /// not for long.
    pub(super) async fn flush(&self, id: UploadId) {
        let done: Vec<_> = {
            let known = self.lock();
            let held = known.sending.get(&id).into_iter().flatten();
            let sending = held.filter(|held| held.writer.is_some());
            sending
                .map(|held| {
                    held.stop.send_replace(true);
                    held.done.clone()
                })
                .collect()
        };
        let all = join_all(done.into_iter().map(|mut done| async move {
            // An error is what is waited for: the other end is gone.
            let _closed = done.changed().await;
        }));
        // Whoever takes longer is fenced off.
        let _late = timeout(FLUSH_WAIT, all).await;
    }

    fn ids(&self) -> Vec<UploadId> {
        let known = self.lock();
        let sending = known.sending.keys().copied();
        sending.chain(known.standing.ids()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Held {
    fn is(&self, holding: &Holding) -> bool {
        self.stop.subscribe().same_channel(&holding.stopped)
    }

    fn stop_if_superseded(&self) {
        if self.writer.is_some_and(|writer| writer < self.newest) {
            self.stop.send_replace(true);
        }
    }
}

impl Holding {
    /// The upload.
    pub(super) fn id(&self) -> UploadId {
        self.id
    }

    /// Notes that the connection has the upload, as writer number `writer`; those
    /// before it are stopped.
    pub(super) fn claimed(&self, writer: i64) {
        self.holders.supersede(self.id, writer);
        let mut known = self.holders.lock();
        for held in known.sending.get_mut(&self.id).into_iter().flatten() {
            if held.is(self) {
                held.writer = Some(writer);
                held.stop_if_superseded();
            }
        }
    }

    /// The claim of the connection before, if it stands and serves.
    pub(super) fn take_standing(&self, bid: Bid) -> Option<Standing> {
        self.holders.lock().standing.take(self.id, bid)
    }

    /// Lets the claim stand for the connection that comes next, unless there is a newer
    /// one by now.
    pub(super) fn leave(&self, standing: Standing) {
        let mut known = self.holders.lock();
        let held = known.sending.get(&self.id).into_iter().flatten();
        if held.map(|held| held.newest).max() <= Some(standing.claim.writer()) {
            known.standing.keep(standing);
        }
    }

    /// Comes true when a newer connection has the upload.
    pub(super) fn stopped(&self) -> impl Future<Output = ()> + use<> {
        let mut stopped = self.stopped.clone();
        async move {
            // Nobody is left to stop us: then nobody does.
            if stopped.wait_for(|stopped| *stopped).await.is_err() {
                std::future::pending().await
            }
        }
    }

    /// Whether a newer connection has the upload.
    pub(super) fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        let mut known = self.holders.lock();
        if let Some(held) = known.sending.get_mut(&self.id) {
            held.retain(|held| !held.is(self));
            if held.is_empty() {
                known.sending.remove(&self.id);
            }
        }
    }
}

impl Ingest {
    /// Whether anybody is sending to this process, or may go on in a moment.
    pub fn is_receiving(&self) -> bool {
        let mut known = self.holders.lock();
        known.standing.forget_old();
        !known.sending.is_empty() || known.standing.ids().next().is_some()
    }

    /// Stops connections of this process whose uploads another process has taken
    /// over, as far as they are among `changed`; `None` looks at all.
    ///
    /// # Errors
    /// When the database cannot say.
    pub async fn yield_to_others(&self, changed: Option<&BTreeSet<Topic>>) -> anyhow::Result<()> {
        let is_asked =
            |id: &UploadId| changed.is_none_or(|changed| changed.contains(&Topic::Upload(*id)));
        let ids: Vec<UploadId> = self.holders.ids().into_iter().filter(is_asked).collect();
        if ids.is_empty() {
            return Ok(());
        }
        let writers = self.db.upload_writers(ids).await;
        for (id, newest) in writers.context("asking who sends")? {
            self.holders.supersede(id, newest);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn hold(holders: &Holders, id: UploadId, writer: i64) -> Holding {
        let holding = holders.enter(id);
        holding.claimed(writer);
        holding
    }

    #[tokio::test]
    async fn older_connections_are_stopped_and_the_newest_is_not() {
        let holders = Holders::default();
        let id = UploadId::new();
        let old = hold(&holders, id, 1);
        let other = hold(&holders, UploadId::new(), 1);
        assert!(!old.is_stopped());

        let new = hold(&holders, id, 2);

        assert!(old.is_stopped() && !new.is_stopped() && !other.is_stopped());
        assert_eq!(old.stopped().now_or_never(), Some(()));
        assert_eq!(new.stopped().now_or_never(), None);
    }

    #[tokio::test]
    async fn a_connection_that_is_superseded_while_it_claims_is_stopped_when_it_has() {
        let holders = Holders::default();
        let id = UploadId::new();
        let (early, late) = (holders.enter(id), holders.enter(id));

        holders.supersede(id, 2);
        early.claimed(1);
        late.claimed(3);

        assert!(early.is_stopped() && !late.is_stopped());
    }

    #[tokio::test]
    async fn whoever_flushes_waits_until_the_connection_is_done() {
        let holders = Holders::default();
        let id = UploadId::new();
        let holding = hold(&holders, id, 1);
        let connection = tokio::spawn(async move { holding.stopped().await });

        holders.flush(id).await;

        assert!(connection.is_finished());
        assert!(holders.lock().sending.is_empty(), "nothing is left behind");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_flushes_does_not_wait_for_ever() {
        let holders = Holders::default();
        let id = UploadId::new();
        let _stuck = hold(&holders, id, 1);

        holders.flush(id).await;
    }
}
