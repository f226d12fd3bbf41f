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
const GATHER_TIME: Duration = Duration::from_secs(1);

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
    pub(super) data: Vec<u8>,
    pub(super) end: End,
}

/// Pulls a body into chunks.
pub(super) struct Gatherer<S> {
    body: Pin<Box<S>>,
    /// What arrived and did not fit the chunk before.
    rest: Bytes,
}

impl<S, E> Gatherer<S>
where
    S: Stream<Item = Result<Bytes, E>>,
{
    pub(super) fn new(body: S) -> Self {
        Self {
            body: Box::pin(body),
            rest: Bytes::new(),
        }
    }

    /// The next chunk: at most `most` bytes, which is at most [`CHUNK_BYTES`].
    pub(super) async fn next(&mut self, most: usize) -> Gathered {
        let most = most.min(CHUNK_BYTES);
        let mut data = Vec::new();
        take(&mut self.rest, &mut data, most);
        let mut deadline = Instant::now()
            + if data.is_empty() {
                SILENCE_MAX
            } else {
                GATHER_TIME
            };
        while data.len() < most {
            let piece = match timeout_at(deadline, self.body.next()).await {
                Ok(Some(Ok(piece))) => piece,
                Ok(Some(Err(_))) => {
                    return Gathered {
                        data,
                        end: End::Cut,
                    };
                }
                Ok(None) => {
                    return Gathered {
                        data,
                        end: End::Complete,
                    };
                }
                Err(_) if data.is_empty() => {
                    return Gathered {
                        data,
                        end: End::Cut,
                    };
                }
                Err(_) => {
                    return Gathered {
                        data,
                        end: End::NotYet,
                    };
                }
            };
            if data.is_empty() && !piece.is_empty() {
                deadline = Instant::now() + GATHER_TIME;
            }
            self.rest = piece;
            take(&mut self.rest, &mut data, most);
        }
        Gathered {
            data,
            end: End::NotYet,
        }
    }

    /// Whether anything follows; looks, and does not wait longer than for a chunk.
    pub(super) async fn has_more(&mut self) -> bool {
        !self.rest.is_empty() || !self.next(1).await.data.is_empty()
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
            let gathered = gatherer.next(4).await;
            chunks.push(String::from_utf8(gathered.data).unwrap());
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

        let gathered = gatherer.next(10).await;

        assert_eq!(
            (gathered.data.as_slice(), gathered.end),
            (b"abc".as_slice(), End::Cut)
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_sender_is_committed_after_a_second_and_a_silent_one_is_dead() {
        let trickle = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(400)).await;
            Some((Ok::<_, ()>(Bytes::from_static(b"x")), ()))
        });
        let gathered = Gatherer::new(trickle).next(1000).await;
        assert_eq!((gathered.data.len(), gathered.end), (3, End::NotYet));

        let silent = stream::pending::<Result<Bytes, ()>>();
        let gathered = Gatherer::new(silent).next(1000).await;
        assert_eq!((gathered.data.len(), gathered.end), (0, End::Cut));
    }
}
