//! Carries progress from the rows to the viewers of this process, word of changes
//! made here to the other processes, and theirs to whoever sends to this one.
//!
//! Notifications are hints and rows are truth: whatever a hint says, the row is
//! read; and should every hint be lost, the rows are read now and then anyway.

use std::collections::BTreeSet;
use std::time::Duration;

use slipway_core::{ProcessId, Topic};
use slipway_db::{Changes, Db, Heard, Listener, TopicState};
use slipway_ingest::Ingest;
use slipway_realtime::Hub;
use tokio::time::{Instant, sleep_until};

/// Changes are read at most this often, those made here and those heard of together:
/// twenty short transactions a second, whatever happens.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Changes made here are told to other processes at most this often; what changes in
/// between is told once.
const TELL_EVERY: Duration = Duration::from_millis(50);

/// Followed topics are read this often though nobody rang: while we are
/// listening, and while we cannot.
const READ_EVERY: Duration = Duration::from_secs(10);
const READ_EVERY_DEAF: Duration = Duration::from_millis(500);

/// Viewers are told that what they see may be old once rows could not be read for so
/// long: a restart of the database is often over before.
const STALE_AFTER: Duration = Duration::from_secs(5);

/// Bytes of one notification; the server takes 7999.
const PAYLOAD_BYTES_MAX: usize = 7900;

/// Stands for every topic.
const ANYTHING: &str = "*";

/// Joins the database, the viewers of this process and the other processes.
pub(crate) struct Pump {
    db: Db,
    hub: Hub,
    ingest: Ingest,
    listener: Listener,
    process: String,
    listening: bool,
    /// Since when no rows could be read.
    unread_since: Option<Instant>,
}

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Hint {
    Of(BTreeSet<Topic>),
    Anything,
}

impl Pump {
    pub(crate) fn new(db: Db, hub: Hub, ingest: Ingest, listener: Listener) -> Self {
        let process = ProcessId::new().to_string();
        Self {
            db,
            hub,
            ingest,
            listener,
            process,
            listening: false,
            unread_since: None,
        }
    }

    /// Pumps for as long as the process lives.
    pub(crate) async fn run(mut self) {
        let mut read_at = Instant::now() + READ_EVERY_DEAF;
        let (mut look_at, mut tell_at) = (Instant::now(), Instant::now());
        let (mut changed, mut heard, mut untold) = (None, None, None);
        let (db, hub) = (self.db.clone(), self.hub.clone());
        loop {
            // Whoever sends here may have to be told that another process goes on.
            let watched = self.hub.is_followed() || self.ingest.is_receiving();
            self.listener.set_watched(watched);
            tokio::select! {
                topics = hub.wanted() => self.show(topics).await,
                changes = db.doorbell().changed() => note(changes, &mut changed, &mut untold),
                said = self.listener.next() => match said {
                    Some(Heard::Payload(payload)) => {
                        if let Some(hint) = parse(&payload, &self.process) {
                            Hint::join(&mut heard, hint);
                        }
                    }
                    Some(Heard::Listening) => {
                        self.listening = true;
                        Hint::join(&mut heard, Hint::Anything);
                    }
                    Some(Heard::Lost) => {
                        self.listening = false;
                        read_at = read_at.min(Instant::now() + READ_EVERY_DEAF);
                    }
                    None => return,
                },
                () = sleep_until(look_at), if changed.is_some() || heard.is_some() => {
                    look_at = Instant::now() + LOOK_EVERY;
                    if let Some(hint) = heard.take() {
                        self.yield_by(&hint).await;
                        Hint::join(&mut changed, hint);
                    }
                    if let Some(hint) = changed.take() {
                        self.look_at(&hint).await;
                    }
                }
                () = sleep_until(tell_at), if untold.is_some() => {
                    tell_at = Instant::now() + TELL_EVERY;
                    if let Some(hint) = untold.take() {
                        self.tell(&hint).await;
                    }
                }
                () = sleep_until(read_at) => {
                    Hint::join(&mut heard, Hint::Anything);
                    let well = self.listening && self.unread_since.is_none();
                    read_at = Instant::now() + if well { READ_EVERY } else { READ_EVERY_DEAF };
                }
            }
        }
    }

    /// Shows viewers what has changed, as far as they follow it.
    async fn look_at(&mut self, hint: &Hint) {
        let topics = match hint {
            Hint::Of(topics) => self.hub.followed_of(topics),
            Hint::Anything => self.hub.followed(),
        };
        self.show(topics).await;
    }

    /// Ends what is sent here and another process has taken over.
    async fn yield_by(&self, hint: &Hint) {
        let changed = match hint {
            Hint::Of(topics) => Some(topics),
            Hint::Anything => None,
        };
        if let Err(fault) = self.ingest.yield_to_others(changed).await {
            // They cannot write any more; it is only asked again a little later.
            let fault = format!("{fault:#}");
            tracing::warn!(fault, "superseded connections could not be found");
        }
    }

    async fn show(&mut self, topics: Vec<Topic>) {
        if topics.is_empty() {
            return;
        }
        let began = *self.unread_since.get_or_insert_with(Instant::now);
        let reading = self.db.progress_read(topics);
        tokio::pin!(reading);
        let read = tokio::select! {
            read = &mut reading => read,
            () = sleep_until(began + STALE_AFTER) => {
                self.hub.set_stale(true);
                reading.await
            }
        };
        match read {
            Ok(states) => {
                self.unread_since = None;
                self.hub.set_stale(false);
                for (topic, state) in states {
                    match state {
                        TopicState::At(position, progress) => {
                            self.hub.publish(topic, position, progress);
                        }
                        TopicState::Gone => self.hub.gone(topic),
                    }
                }
            }
            // The rows are read again soon, whatever happens.
            Err(error) => tracing::warn!(%error, "progress could not be read"),
        }
    }

    /// Tells the other processes.
    async fn tell(&self, hint: &Hint) {
        let payloads = payloads(&self.process, hint);
        if let Err(error) = self.db.progress_notify(payloads).await {
            // They read the rows now and then anyway.
            tracing::warn!(%error, "other processes could not be told of progress");
        }
    }
}

impl Hint {
    /// Adds `more` to what is known.
    fn join(known: &mut Option<Self>, more: Self) {
        match (known.as_mut(), more) {
            (Some(Self::Of(topics)), Self::Of(more)) => topics.extend(more),
            (Some(Self::Anything), _) => {}
            (_, Self::Of(more)) if more.is_empty() => {}
            (_, more) => *known = Some(more),
        }
    }
}

/// Takes note of changes made here: what is to be read anew, and what is to be told.
fn note(changes: Changes, changed: &mut Option<Hint>, untold: &mut Option<Hint>) {
    match changes {
        Changes::Of { topics, claimed } => {
            Hint::join(changed, Hint::Of(topics.clone()));
            Hint::join(untold, Hint::Of(topics));
            Hint::join(untold, Hint::Of(claimed));
        }
        Changes::OfAnything => {
            Hint::join(changed, Hint::Anything);
            Hint::join(untold, Hint::Anything);
        }
    }
}

/// Spells a hint: the process that gives it, then topics, with spaces between.
fn payloads(process: &str, hint: &Hint) -> Vec<String> {
    let topics = match hint {
        Hint::Anything => return vec![format!("{process} {ANYTHING}")],
        Hint::Of(topics) => topics,
    };
    let mut payloads = Vec::new();
    let mut payload = process.to_owned();
    for topic in topics.iter().map(Topic::to_string) {
        if payload.len() + 1 + topic.len() > PAYLOAD_BYTES_MAX {
            payloads.push(std::mem::replace(&mut payload, process.to_owned()));
        }
        payload.push(' ');
        payload.push_str(&topic);
    }
    payloads.push(payload);
    payloads
}

/// Reads a hint; `None` for our own, which we have acted on already.
fn parse(payload: &str, process: &str) -> Option<Hint> {
    let mut words = payload.split(' ');
    if words.next() == Some(process) {
        return None;
    }
    // What a newer release may say beyond this is a reason to look at everything.
    let topics: Option<BTreeSet<Topic>> = words.map(|word| word.parse().ok()).collect();
    Some(topics.map_or(Hint::Anything, Hint::Of))
}

#[cfg(test)]
mod tests {
    use slipway_core::UploadId;

    use super::*;

    #[test]
    fn a_hint_reads_back_and_our_own_is_ignored() {
        let hint = Hint::Of((0..1000).map(|_| Topic::Upload(UploadId::new())).collect());

        let payloads = payloads("here", &hint);

        let mut read = BTreeSet::new();
        for payload in &payloads {
            assert!(payload.len() <= PAYLOAD_BYTES_MAX);
            assert_eq!(parse(payload, "here"), None);
            let Some(Hint::Of(topics)) = parse(payload, "there") else {
                panic!("{payload}")
            };
            read.extend(topics);
        }
        assert_eq!(Hint::Of(read), hint);
    }

    #[test]
    fn what_is_taken_over_is_told_and_not_read_anew() {
        let (topic, other) = (
            Topic::Upload(UploadId::new()),
            Topic::Upload(UploadId::new()),
        );
        let (mut changed, mut untold) = (None, None);
        let of = |topics: &[Topic]| BTreeSet::from_iter(topics.iter().copied());

        for (topics, claimed) in [(&[][..], &[other][..]), (&[topic], &[])] {
            let (topics, claimed) = (of(topics), of(claimed));
            note(Changes::Of { topics, claimed }, &mut changed, &mut untold);
        }

        assert_eq!(changed, Some(Hint::Of(of(&[topic]))));
        assert_eq!(untold, Some(Hint::Of(of(&[topic, other]))));
        note(Changes::OfAnything, &mut changed, &mut untold);
        assert_eq!(
            (changed, untold),
            (Some(Hint::Anything), Some(Hint::Anything))
        );
    }

    #[test]
    fn anything_and_what_is_not_understood_mean_everything() {
        assert_eq!(
            parse(&payloads("here", &Hint::Anything)[0], "there"),
            Some(Hint::Anything)
        );
        assert_eq!(parse("here table:x", "there"), Some(Hint::Anything));
    }
}
