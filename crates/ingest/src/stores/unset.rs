//! A store that this process was not told how to reach.
//!
//! It never pretends: whatever is asked of it ends with the reason.

use anyhow::{Result, anyhow};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use slipway_core::{ByteCount, UploadId};
use slipway_db::{Advanced, Claim};

use super::{BlobStore, Step, Written};

/// No store, and why.
pub(super) struct UnsetStore {
    why: String,
}

impl UnsetStore {
    pub(super) fn new(why: String) -> Self {
        Self { why }
    }

    fn refuse<T: Send + 'static>(&self) -> BoxFuture<'_, Result<T>> {
        let fault = anyhow!(
            "the bytes are in a store that cannot be reached: {}",
            self.why
        );
        async { Err(fault) }.boxed()
    }
}

impl BlobStore for UnsetStore {
    fn create(&self, _: UploadId) -> BoxFuture<'_, Result<()>> {
        self.refuse()
    }

    fn write<'a>(&'a self, _: &'a Claim, _: ByteCount, _: Bytes) -> BoxFuture<'a, Result<Written>> {
        self.refuse()
    }

    fn commit(&self, _: Claim, _: Step) -> BoxFuture<'_, Result<Advanced>> {
        self.refuse()
    }

    fn bytes_between_commits(&self) -> u64 {
        0
    }

    fn settle(&self, _: UploadId) -> BoxFuture<'_, Result<()>> {
        self.refuse()
    }

    fn read(&self, _: UploadId, _: ByteCount, _: u64) -> BoxFuture<'_, Result<Bytes>> {
        self.refuse()
    }

    fn sweep(&self) -> BoxFuture<'_, Result<usize>> {
        // What is there is left to a process that knows the way.
        async { Ok(0) }.boxed()
    }
}
