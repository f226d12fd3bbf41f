//! Gathering what a connection delivers in small pieces into chunks that are
//! worth a transaction.
//!
//! It never loses a byte: when the sender stalls or vanishes, what has arrived
//! so far is handed on.

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::time::{Instant, timeout_at};

use super::digests::Digests;
use super::hold::Hold;
use crate::budget::Budget;
use crate::checksum::Checksum;
use crate::proof::Proof;

/// The size of a full chunk. Below 1 MiB the price of a commit dominates, and
/// two of them a connection are in memory at once: one gathering, one committing.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A slow sender's bytes are committed after this time though the chunk is not
/// full, so that progress is seen and a crash costs a second, not minutes.
pub(super) const GATHER_TIME: Duration = Duration::from_secs(1);

/// Silence after which a connection counts as dead. The router in front of us
/// gives up after 55 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// The time over which a sender is judged, and the bytes that it must bring in it:
/// 273 bytes a second. Whoever brings less holds a connection for next to nothing;
/// what arrived is kept, and an honest sender goes on with a new connection. Only time
/// counts in which we wait for the sender.
const SLOW_WINDOW: Duration = Duration::from_secs(60);
const SLOW_BYTES_MIN: usize = 16 * 1024;

/// The size of a full chunk, in bytes: what a crash can cost a connection twice.
pub const fn chunk_bytes() -> usize {
    CHUNK_BYTES
}

/// Why gathering stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// More may follow.
    NotYet,
    /// The sender is done.
    Complete,
    /// The connection broke, fell silent, or is too slow to be kept.
    Cut,
}

/// Some bytes in a row, and whether more may follow.
pub(super) struct Gathered {
    pub(super) data: Bytes,
    pub(super) end: End,
    /// Of the file up to their end, if one is made.
    pub(super) checksum: Option<Checksum>,
}

/// Pulls a body into chunks.
pub(super) struct Gatherer<S> {
    body: Pin<Box<S>>,
    /// What arrived and did not fit the chunk before.
    rest: Bytes,
    /// Since when nothing comes though it is waited for.
    silent_since: Option<Instant>,
    /// How long the sender was waited for in this window, and what it brought.
    waited: Duration,
    brought: usize,
    budget: Budget,
    digests: Digests,
}

impl<S, E> Gatherer<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    pub(super) fn new(body: S, budget: Budget) -> Self {
        Self {
            body: Box::pin(body),
            rest: Bytes::new(),
            silent_since: None,
            waited: Duration::ZERO,
            brought: 0,
            budget,
            digests: Digests::default(),
        }
    }

    /// The same, with hashes to go on with.
    pub(super) fn hashing(self, checksum: Option<Checksum>, proof: Option<Proof>) -> Self {
        let digests = Digests { checksum, proof };
        Self { digests, ..self }
    }

    /// The next chunk: at most `most` bytes, which is at most [`CHUNK_BYTES`]. A
    /// caller with bytes that are not committed yet is `uneasy`: it gets an empty
    /// chunk when nothing comes for as long as a slow sender's bytes may wait. Where
    /// memory is short, chunks are smaller.
    pub(super) async fn next(&mut self, most: usize, uneasy: bool) -> Gathered {
        let most = most.min(CHUNK_BYTES);
        let mut data = Hold::default();
        let mut has_room = self.fill(&mut data, most).await;
        let now = Instant::now();
        let mut deadline = now + GATHER_TIME;
        let dead_at = *self.silent_since.get_or_insert(now) + SILENCE_MAX;
        if data.is_empty() && !uneasy {
            deadline = dead_at;
        }
        let mut end = End::NotYet;
        while has_room && data.len() < most {
            let asked_at = Instant::now();
            let answer = timeout_at(deadline, self.body.next()).await;
            self.waited += asked_at.elapsed();
            let piece = match answer {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(_))) => {
                    end = End::Cut;
                    break;
                }
                Ok(None) => {
                    end = End::Complete;
                    break;
                }
                Err(_) => {
                    let is_dead = data.is_empty() && Instant::now() >= dead_at;
                    if is_dead || self.is_too_slow(0) {
                        end = End::Cut;
                    }
                    break;
                }
            };
            if piece.is_empty() {
                continue;
            }
            let is_first = data.is_empty();
            let is_too_slow = self.is_too_slow(piece.len());
            self.rest = piece;
            has_room = self.fill(&mut data, most).await;
            if is_first {
                deadline = Instant::now() + GATHER_TIME;
            }
            if is_too_slow {
                end = End::Cut;
                break;
            }
        }
        if !data.is_empty() {
            self.silent_since = None;
        }
        Gathered {
            data: data.freeze(),
            end,
            checksum: self.digests.checksum.clone(),
        }
    }

    /// Moves into a chunk what fits of the rest, and hashes it.
    async fn fill(&mut self, data: &mut Hold, most: usize) -> bool {
        let before = data.len();
        let has_room = data.fill(&mut self.rest, most, &self.budget).await;
        self.digests.update(data.since(before));
        has_room
    }

    /// The checksum of all bytes of this request, once they are gathered.
    pub(super) fn take_proof(&mut self) -> Option<Proof> {
        self.digests.proof.take()
    }

    /// Counts what was brought; whether a window is over and it was too little.
    fn is_too_slow(&mut self, brought: usize) -> bool {
        self.brought = self.brought.saturating_add(brought);
        if self.waited < SLOW_WINDOW {
            return false;
        }
        let is_too_slow = self.brought < SLOW_BYTES_MIN;
        (self.waited, self.brought) = (Duration::ZERO, 0);
        is_too_slow
    }

    /// Whether anything follows; looks, and does not wait longer than for a chunk.
    pub(super) async fn has_more(&mut self) -> bool {
        !self.rest.is_empty() || !self.next(1, false).await.data.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;

    use super::*;

    fn body(pieces: Vec<Result<&'static [u8], ()>>) -> impl Stream<Item = Result<Bytes, ()>> {
        stream::iter(
            pieces
                .into_iter()
                .map(|piece| piece.map(Bytes::from_static)),
        )
    }

    fn gatherer<S: Stream<Item = Result<Bytes, ()>>>(body: S) -> Gatherer<S> {
        Gatherer::new(body, Budget::new(u64::MAX))
    }

    #[tokio::test]
    async fn small_pieces_become_one_chunk_and_a_large_one_several() {
        let mut gatherer = gatherer(body(vec![Ok(b"ab"), Ok(b"cdefg"), Ok(b"h")]));

        let mut chunks = Vec::new();
        loop {
            let gathered = gatherer.next(4, false).await;
            chunks.push(String::from_utf8(gathered.data.to_vec()).unwrap());
            if gathered.end != End::NotYet {
                assert_eq!(gathered.end, End::Complete);
                break;
            }
        }

        assert_eq!(chunks, ["abcd", "efgh", ""]);
    }

    #[tokio::test]
    async fn what_arrived_before_a_cut_is_kept() {
        let mut gatherer = gatherer(body(vec![Ok(b"abc"), Err(())]));

        let gathered = gatherer.next(10, false).await;

        assert_eq!(
            (&gathered.data[..], gathered.end),
            (b"abc".as_slice(), End::Cut)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_is_committed_after_a_second_and_a_silent_one_is_dead() {
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Some((Ok::<_, ()>(Bytes::from_static(b"x")), ()))
        });
        let gathered = gatherer(trickle).next(1000, false).await;
        assert_eq!((gathered.data.len(), gathered.end), (3, End::NotYet));

        let silent = || stream::pending::<Result<Bytes, ()>>();
        let gathered = gatherer(silent()).next(1000, false).await;
        assert_eq!((gathered.data.len(), gathered.end), (0, End::Cut));

        // Whoever has bytes in hand is woken to commit them, and told of the end too.
        let mut gatherer = gatherer(silent());
        let gathered = gatherer.next(1000, true).await;
        assert_eq!((gathered.data.len(), gathered.end), (0, End::NotYet));
        tokio::time::sleep(SILENCE_MAX).await;
        assert_eq!(gatherer.next(1000, true).await.end, End::Cut);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_trickles_for_a_minute_is_cut_and_what_came_is_kept() {
        let every = |pause: Duration, bytes: usize| {
            stream::unfold((), move |()| async move {
                tokio::time::sleep(pause).await;
                Some((Ok::<_, ()>(Bytes::from(vec![1; bytes])), ()))
            })
        };
        let trickle = every(Duration::from_millis(500), 100);
        let mut slow = gatherer(trickle);
        let mut kept = 0;
        let began = Instant::now();
        loop {
            let gathered = slow.next(1_000_000, false).await;
            kept += gathered.data.len();
            if gathered.end != End::NotYet {
                assert_eq!(gathered.end, End::Cut);
                break;
            }
        }
        assert!((11_900..=12_100).contains(&kept), "{kept} bytes");
        assert!(began.elapsed() >= SLOW_WINDOW);

        let mut honest = gatherer(every(Duration::from_millis(500), 200));
        for _ in 0..300 {
            assert_eq!(honest.next(1_000_000, false).await.end, End::NotYet);
        }
    }
}
