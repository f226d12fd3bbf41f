//! Giving a stored file back, byte for byte.
//!
//! It never holds more than its store gives at once, nor a connection meanwhile.

use std::sync::Arc;

use anyhow::Context;
use bytes::Bytes;
use futures_util::{Stream, stream};
use slipway_core::{ByteCount, Scope, UploadId, UploadState};
use slipway_db::Upload;

use super::look::{ReadError, require};
use crate::{Caller, Ingest};

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
        require(caller, Scope::Read)?;
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
        let (id, store, end) = (upload.id, upload.store, end.min(upload.stored));
        stream::try_unfold(start, move |at| {
            let stores = Arc::clone(&stores);
            async move {
                if at >= end {
                    return Ok(None);
                }
                let data = stores.of(store).read(id, at, end.since(at)).await?;
                let length = u64::try_from(data.len()).context("measuring some bytes")?;
                let next = at.checked_add(length).context("a file that is too large")?;
                Ok(Some((data, next)))
            }
        })
    }
}
