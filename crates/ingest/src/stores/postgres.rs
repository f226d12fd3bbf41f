//! Bytes in rows of the database: a chunk and the advance of its upload are one
//! transaction, so there is nothing that could come apart.
//!
//! It never holds more than one chunk.

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use slipway_core::{ByteCount, UploadId};
use slipway_db::{Advanced, Chunk, Claim, Db};

use super::{BlobStore, Step, Written};

/// Chunks deleted in one transaction: 256 MiB at most, well under a second.
const SWEEP_CHUNKS: u16 = 64;

/// The store in the database.
pub(super) struct PostgresStore {
    db: Db,
}

impl PostgresStore {
    pub(super) fn new(db: Db) -> Self {
        Self { db }
    }
}

/// Forgets what an earlier connection wrote ahead and never committed.
pub(super) async fn discard_ahead(db: &Db, claim: &Claim) -> Result<()> {
    // Before the first claim nobody can have written anything.
    if claim.writer() > 1 {
        let discarded = db.chunk_discard_ahead(claim).await;
        discarded.context("discarding chunks")?;
    }
    Ok(())
}

impl BlobStore for PostgresStore {
    fn create(&self, _: UploadId) -> BoxFuture<'_, Result<()>> {
        // The row of the upload is all there is to make.
        async { Ok(()) }.boxed()
    }

    fn begin<'a>(&'a self, claim: &'a Claim) -> BoxFuture<'a, Result<()>> {
        discard_ahead(&self.db, claim).boxed()
    }

    fn write<'a>(
        &'a self,
        claim: &'a Claim,
        at: ByteCount,
        data: Bytes,
    ) -> BoxFuture<'a, Result<Written>> {
        async move {
            let chunk = Chunk { start: at, data };
            let written = self.db.chunk_write_ahead(claim, chunk).await;
            Ok(if written.context("writing a chunk ahead")? {
                Written::Yes
            } else {
                Written::Superseded
            })
        }
        .boxed()
    }

    fn commit(&self, claim: Claim, step: Step) -> BoxFuture<'_, Result<Advanced>> {
        async move {
            let start = step.tail_start()?;
            let data = step.tail.clone();
            let mut advance = step.of_row();
            advance.chunk = (!data.is_empty()).then_some(Chunk { start, data });
            let advanced = self.db.upload_advance(claim, advance).await;
            advanced.context("storing a chunk")
        }
        .boxed()
    }

    fn bytes_between_commits(&self) -> u64 {
        0
    }

    fn read(&self, id: UploadId, at: ByteCount, most: u64) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let chunk = self.db.chunk_read(id, at).await;
            let chunk = chunk
                .context("reading a chunk")?
                .ok_or_else(|| anyhow!("byte {at} of upload {id} is not there"))?;
            let skip = usize::try_from(at.since(chunk.start)).context("a chunk too large")?;
            let most = usize::try_from(most).unwrap_or(usize::MAX);
            let end = skip.saturating_add(most).min(chunk.data.len());
            Ok(chunk.data.slice(skip..end))
        }
        .boxed()
    }

    fn sweep(&self) -> BoxFuture<'_, Result<usize>> {
        async move {
            let swept = self.db.chunk_sweep(SWEEP_CHUNKS).await;
            swept.context("sweeping chunks")
        }
        .boxed()
    }
}
