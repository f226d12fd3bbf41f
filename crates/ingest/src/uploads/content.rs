//! Giving a stored file back, byte for byte.
//!
//! It never holds more than its store gives at once, nor a connection meanwhile, nor
//! much for a slow reader where memory is short.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{Stream, stream};
use slipway_core::{Action, ByteCount, UploadId, UploadState};
use slipway_db::Upload;

use super::hold::with_room;
use super::look::ReadError;
use crate::budget::Budget;
use crate::{Caller, Ingest};

/// What a reader gets at once where memory is short. Its chunk is read once for each
/// piece, eight times for one of 1 MiB, so it is not small; a thousand readers hold
/// 125 MiB.
const PIECE_BYTES_MIN: usize = 128 * 1024;

/// Why a file was not given.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// As for looking at it.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It is not whole.
    #[error("this upload is {0}, so there is no file to download yet")]
    NotStored(UploadState),
}

impl Ingest {
    /// A stored file, for whoever may read it.
    ///
    /// # Errors
    /// When it is not there for the caller, is not whole, or on a fault.
    pub async fn stored(&self, caller: &Caller, id: UploadId) -> Result<Upload, ContentError> {
        caller
            .may(Action::UploadDownload)
            .map_err(ReadError::from)?;
        let upload = self.visible(caller, id).await?;
        if upload.state != UploadState::Stored {
            return Err(ContentError::NotStored(upload.state));
        }
        Ok(upload)
    }

    /// The bytes of a stored file from `start` to the one before `end`. Ends with an
    /// error where a byte is missing: a download that is cut short is seen to be.
    pub fn bytes(
        &self,
        upload: &Upload,
        start: ByteCount,
        end: ByteCount,
    ) -> impl Stream<Item = anyhow::Result<Bytes>> + use<> {
        let stores = Arc::clone(&self.stores);
        let outgoing = self.outgoing.clone();
        let (id, store, end) = (upload.id, upload.store, end.min(upload.stored));
        stream::try_unfold(start, move |at| {
            let (stores, outgoing) = (Arc::clone(&stores), outgoing.clone());
            async move {
                if at >= end {
                    return Ok(None);
                }
                let data = stores.of(store).read(id, at, end.since(at)).await?;
                let data = within(&outgoing, data);
                let length = u64::try_from(data.len()).context("measuring some bytes")?;
                let next = at.checked_add(length).context("a file that is too large")?;
                Ok(Some((data, next)))
            }
        })
    }
}

/// Bytes to be sent, with room for them; where there is none, a copy of the first few,
/// so that the rest need not wait in memory until a slow reader has taken them. They
/// are read again.
fn within(outgoing: &Budget, data: Bytes) -> Bytes {
    if data.len() <= PIECE_BYTES_MIN {
        return data;
    }
    match outgoing.room_for(data.len()) {
        Some(room) => with_room(data, room),
        None => Bytes::copy_from_slice(&data[..PIECE_BYTES_MIN]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::STEP_BYTES;

    #[test]
    fn slow_readers_get_less_at_once_and_nobody_waits() {
        let outgoing = Budget::new(STEP_BYTES as u64);
        let data = Bytes::from(vec![7; STEP_BYTES]);

        let first = within(&outgoing, data.clone());
        let second = within(&outgoing, data.clone());
        assert_eq!((first.len(), second.len()), (STEP_BYTES, PIECE_BYTES_MIN));

        drop(first);
        assert_eq!(within(&outgoing, data).len(), STEP_BYTES);
    }
}
