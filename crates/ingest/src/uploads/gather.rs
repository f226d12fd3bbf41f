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

/// The size of a full chunk. Below 1 MiB the price of a commit dominates, and
/// two of them a connection are in memory at once: one gathering, one committing.
const CHUNK_BYTES: usize = 1024 * 1024;

/// A slow sender's bytes are committed after this time though the chunk is not
/// full, so that progress is seen and a crash costs a second, not minutes.
pub(super) const GATHER_TIME: Duration = Duration::from_secs(1);

/// Silence after which a connection counts as dead. The router in front of us
/// gives up after 55 s.
const SILENCE_MAX: Duration = Duration::from_secs(60);

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
    /// The connection broke or fell silent.
    Cut,
}

/// Some bytes in a row, and whether more may follow.
#[derive(Debug)]
pub(super) struct Gathered {
    pub(super) data: Bytes,
    pub(super) end: End,
}

/// Pulls a body into chunks.
pub(super) struct Gatherer<S> {
    body: Pin<Box<S>>,
    /// What arrived and did not fit the chunk before.
    rest: Bytes,
    /// Since when nothing comes though it is waited for.
    silent_since: Option<Instant>,
}

impl<S, E> Gatherer<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    pub(super) fn new(body: S) -> Self {
        Self {
            body: Box::pin(body),
            rest: Bytes::new(),
            silent_since: None,
        }
    }

    /// The next chunk: at most `most` bytes, which is at most [`CHUNK_BYTES`]. A
    /// caller with bytes that are not committed yet is `uneasy`: it gets an empty
    /// chunk when nothing comes for as long as a slow sender's bytes may wait.
    pub(super) async fn next(&mut self, most: usize, uneasy: bool) -> Gathered {
        let most = most.min(CHUNK_BYTES);
        let mut data = Vec::new();
        let now = Instant::now();
        let mut deadline = now + GATHER_TIME;
        take(&mut self.rest, &mut data, most);
        let dead_at = *self.silent_since.get_or_insert(now) + SILENCE_MAX;
        if data.is_empty() && !uneasy {
            deadline = dead_at;
        }
        let mut end = End::NotYet;
        while data.len() < most {
            let piece = match timeout_at(deadline, self.body.next()).await {
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
                    if data.is_empty() && Instant::now() >= dead_at {
                        end = End::Cut;
                    }
                    break;
                }
            };
            if piece.is_empty() {
                continue;
            }
            if data.is_empty() {
                deadline = Instant::now() + GATHER_TIME;
            }
            self.rest = piece;
            take(&mut self.rest, &mut data, most);
        }
        if !data.is_empty() {
            self.silent_since = None;
        }
        let data = Bytes::from(data);
        Gathered { data, end }
    }

    /// Whether anything follows; looks, and does not wait longer than for a chunk.
    pub(super) async fn has_more(&mut self) -> bool {
        !self.rest.is_empty() || !self.next(1, false).await.data.is_empty()
    }
}

fn take(from: &mut Bytes, into: &mut Vec<u8>, most: usize) {
    if from.is_empty() {
        return;
    }
    if into.capacity() == 0 {
        into.reserve_exact(most);
    }
    let fits = from.len().min(most - into.len());
    into.extend_from_slice(&from.split_to(fits));
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

    #[tokio::test]
    async fn small_pieces_become_one_chunk_and_a_large_one_several() {
        let mut gatherer = Gatherer::new(body(vec![Ok(b"ab"), Ok(b"cdefg"), Ok(b"h")]));

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
        let mut gatherer = Gatherer::new(body(vec![Ok(b"abc"), Err(())]));

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
        let gathered = Gatherer::new(trickle).next(1000, false).await;
        assert_eq!((gathered.data.len(), gathered.end), (3, End::NotYet));

        let silent = || stream::pending::<Result<Bytes, ()>>();
        let gathered = Gatherer::new(silent()).next(1000, false).await;
        assert_eq!((gathered.data.len(), gathered.end), (0, End::Cut));

        // Whoever has bytes in hand is woken to commit them, and told of the end too.
        let mut gatherer = Gatherer::new(silent());
        let gathered = gatherer.next(1000, true).await;
        assert_eq!((gathered.data.len(), gathered.end), (0, End::NotYet));
        tokio::time::sleep(SILENCE_MAX).await;
        assert_eq!(gatherer.next(1000, true).await.end, End::Cut);
    }
}
