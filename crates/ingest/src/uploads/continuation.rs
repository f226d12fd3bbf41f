//! How a sender goes on with an upload, and how far it gets.

use slipway_core::{ByteCount, Sha256Digest};
use slipway_db::Bid;
use time::OffsetDateTime;

use super::append::AppendError;
use crate::proof::Expected;

/// How a sender goes on with an upload.
#[derive(Debug, Clone, Default)]
pub struct Continuation {
    /// Where its bytes start.
    pub from: ByteCount,
    /// How many they are, if the sender said so.
    pub announced: Option<u64>,
    /// The size of the file, if it is said only now.
    pub total: Option<ByteCount>,
    /// When the file is complete.
    pub end: Ending,
    /// What the bytes must hash to. They are no part of the file before they do:
    /// of bytes that differ, or are cut, none is kept.
    pub expected: Option<Expected>,
}

/// When a file is complete.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ending {
    /// When its size is reached.
    #[default]
    BySize,
    /// With the last of these bytes.
    Here,
    /// With later ones, whatever its size is.
    Later,
}

/// How far an upload has got by a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Landed {
    /// Durable bytes.
    pub stored: ByteCount,
    /// The digest of the file, if it is complete.
    pub whole: Option<Sha256Digest>,
    /// Until when its sender may go on; `None` if nothing is left to send.
    pub expires_at: Option<OffsetDateTime>,
}

impl Continuation {
    /// What the connection bids. Where it says both how much it sends and that
    /// nothing follows, it says the size.
    pub(super) fn bid(&self, max: ByteCount) -> Result<Bid, AppendError> {
        let from = self.from;
        let too_large = || AppendError::TooLarge { max, have: from };
        let end = self
            .announced
            .map(|bytes| from.checked_add(bytes).filter(|end| *end <= max));
        let total = match (self.end, end, self.total) {
            (Ending::Here, Some(end), said) => {
                let end = end.ok_or_else(too_large)?;
                if let Some(given) = said.filter(|said| *said != end) {
                    return Err(AppendError::OtherSize { given, have: from });
                }
                Some(end)
            }
            (_, _, said) => said,
        };
        match total {
            Some(given) if given < from => Err(AppendError::OtherSize { given, have: from }),
            Some(given) if given > max => Err(too_large()),
            None if end == Some(None) => Err(too_large()),
            _ => Ok(Bid { from, total }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bid(continuation: &Continuation) -> Result<Option<u64>, String> {
        let bid = continuation.bid(ByteCount::from_u32(100));
        bid.map(|bid| bid.total.map(ByteCount::to_u64))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_size_is_said_outright_or_by_a_body_that_is_the_rest() {
        let from = ByteCount::from_u32(10);
        let rest = Continuation {
            from,
            announced: Some(5),
            end: Ending::Here,
            ..Continuation::default()
        };
        assert_eq!(bid(&rest), Ok(Some(15)));

        let some = Continuation {
            end: Ending::Later,
            ..rest.clone()
        };
        assert_eq!(bid(&some), Ok(None));

        for (total, announced) in [(14, 5), (9, 0), (101, 5)] {
            let refused = Continuation {
                total: Some(ByteCount::from_u32(total)),
                announced: Some(announced),
                ..rest.clone()
            };
            assert!(bid(&refused).is_err(), "{total} {announced}");
        }
    }

    #[test]
    fn a_body_that_is_too_large_is_known_to_be_from_its_length() {
        for announced in [91, u64::MAX] {
            for end in [Ending::BySize, Ending::Here, Ending::Later] {
                let large = Continuation {
                    from: ByteCount::from_u32(10),
                    announced: Some(announced),
                    end,
                    ..Continuation::default()
                };
                assert_eq!(bid(&large), Err("at most 100 bytes are taken".to_owned()));
            }
        }
    }
}
