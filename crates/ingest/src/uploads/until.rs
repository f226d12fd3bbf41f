//! A body that can be told to stop.
//!
//! It never lets a stop look like the end of a file: what follows the stop is an
//! error, so what arrived is kept and nothing is taken for complete.

use std::pin::pin;

use bytes::Bytes;
use futures_util::future::{Either, select};
use futures_util::{Stream, StreamExt, stream};

/// Why a body ended before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Its connection broke.
    Broken,
    /// It was told to stop.
    Stopped,
}

/// The pieces of `body` until it ends or `stop` comes true, whichever is first.
pub fn until<E>(
    body: impl Stream<Item = Result<Bytes, E>>,
    stop: impl Future<Output = ()>,
) -> impl Stream<Item = Result<Bytes, Cut>> {
    let running = Some((Box::pin(body), Box::pin(stop)));
    stream::unfold(running, |running| async move {
        let (mut body, mut stop) = running?;
        let next = pin!(body.next());
        match select(next, &mut stop).await {
            Either::Left((None, _)) => None,
            Either::Left((Some(Ok(piece)), _)) => Some((Ok(piece), Some((body, stop)))),
            Either::Left((Some(Err(_)), _)) => Some((Err(Cut::Broken), None)),
            Either::Right(((), _)) => Some((Err(Cut::Stopped), None)),
        }
    })
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    #[tokio::test]
    async fn a_stop_is_seen_and_is_not_the_end() {
        let piece = || stream::iter([Ok::<_, ()>(Bytes::from_static(b"a"))]);

        let whole: Vec<_> = until(piece(), pending()).collect().await;
        let stopped: Vec<_> = until(stream::pending::<Result<_, ()>>(), ready(()))
            .collect()
            .await;

        assert_eq!(whole, [Ok(Bytes::from_static(b"a"))]);
        assert_eq!(stopped, [Err(Cut::Stopped)]);
    }
}
