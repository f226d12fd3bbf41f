//! Where the bytes of files are kept: one trait, and the stores behind it.
//!
//! It never decides who may write: every write is fenced by the claim that it is
//! made under, and no store removes a byte of a file that somebody could still want.

mod disk;
mod postgres;
mod s3;
mod unset;

use anyhow::Result;
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use slipway_config::Settings;
use slipway_core::{ByteCount, Sha256Digest, StoreKind, UploadId};
use slipway_db::{Advance, Advanced, Claim, Db};

use crate::compute::Compute;

/// A place for the bytes of files. The order of calls for one upload is
/// [`create`](Self::create), then for each claim [`begin`](Self::begin) and any number
/// of [`write`](Self::write) and [`commit`](Self::commit).
///
/// Every store keeps three promises. What was committed is durable. What the holder
/// of an older claim sends never lands, however late it comes. And a sweep takes only
/// uploads that were removed or have expired, which neither is ever undone.
pub(crate) trait BlobStore: Send + Sync {
    /// Makes room for a new upload, before anybody is told of it.
    fn create(&self, id: UploadId) -> BoxFuture<'_, Result<()>>;

    /// The size of the parts in which a file of this size is kept, if the store keeps
    /// it in parts; fixed when the upload is announced.
    fn part_bytes(&self, _total: ByteCount) -> Option<ByteCount> {
        None
    }

    /// Clears the way for a new claim, before anything is written under it: what was
    /// written ahead under an earlier one and never committed is to be gone.
    fn begin<'a>(&'a self, _claim: &'a Claim) -> BoxFuture<'a, Result<()>> {
        async { Ok(()) }.boxed()
    }

    /// Writes bytes ahead: at byte `at`, which is where the stored bytes end or what
    /// was written ahead of them before. They are not part of the file, need not
    /// be durable, and nothing may be acknowledged, until a commit has passed them.
    /// Whoever does not want them after all gives up the claim: the next one begins
    /// at the stored bytes, and what lies beyond them is gone.
    fn write<'a>(
        &'a self,
        claim: &'a Claim,
        at: ByteCount,
        data: Bytes,
    ) -> BoxFuture<'a, Result<Written>>;

    /// Makes the bytes up to `step.to` durable and part of the file, and moves the
    /// upload there: those written ahead, and `step.tail` behind them.
    fn commit(&self, claim: Claim, step: Step) -> BoxFuture<'_, Result<Advanced>>;

    /// How many bytes may be written ahead before a commit is due. Zero where a commit
    /// costs no more than a write.
    fn bytes_between_commits(&self) -> u64;

    /// Brings a whole file into its last form, after which it can be read; done by its
    /// inspection, because it may take long. May be repeated.
    fn settle(&self, _id: UploadId) -> BoxFuture<'_, Result<()>> {
        async { Ok(()) }.boxed()
    }

    /// Stored bytes from byte `at` on: at least one, at most `most`, as many as the
    /// store gives at once. An error where there is none.
    fn read(&self, id: UploadId, at: ByteCount, most: u64) -> BoxFuture<'_, Result<Bytes>>;

    /// How many bytes more the store can hold; `None` where nobody can tell.
    fn free(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        async { Ok(None) }.boxed()
    }

    /// Deletes some bytes of uploads that were removed or have expired; says how many
    /// pieces went, zero when nothing is left. Bounded, so that it may be called again
    /// and again between other work.
    fn sweep(&self) -> BoxFuture<'_, Result<usize>>;
}

/// What came of writing ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Written {
    /// They are where they were to be.
    Yes,
    /// A newer connection has the upload, or it is gone; nothing was written.
    Superseded,
}

/// One step of an upload: the bytes that complete it, and what is true of the file
/// up to there.
#[derive(Debug)]
pub(crate) struct Step {
    /// Where it leads.
    pub(crate) to: ByteCount,
    /// The bytes that end there, those written ahead not included; may be empty.
    pub(crate) tail: Bytes,
    /// The hash of all bytes so far, not yet finished; `None` when none is made.
    pub(crate) hash_state: Option<Vec<u8>>,
    /// Bytes per second, lately.
    pub(crate) rate: Option<u64>,
    /// The hash of the file, if it ends there and one was made.
    pub(crate) whole: Option<Sha256Digest>,
    /// Whether it ends there and its inspection has yet to say that it is stored.
    pub(crate) verify: bool,
}

impl Step {
    /// Where the tail begins.
    fn tail_start(&self) -> Result<ByteCount> {
        let length = i64::try_from(self.tail.len())?;
        Ok(ByteCount::try_from(self.to.to_i64() - length)?)
    }

    /// The step as the row takes it, of bytes that are durable elsewhere.
    fn of_row(self) -> Advance {
        Advance {
            to: self.to,
            chunk: None,
            hash_state: self.hash_state,
            rate: self.rate,
            whole: self.whole,
            verify: self.verify,
        }
    }
}

/// All stores of this process. Old uploads are read from where they are, whatever
/// the setting for new ones says now.
pub(crate) struct Stores {
    chosen: StoreKind,
    postgres: postgres::PostgresStore,
    disk: disk::DiskStore,
    s3: Box<dyn BlobStore>,
}

impl Stores {
    pub(crate) fn new(db: &Db, compute: &Compute, settings: &Settings) -> Self {
        let s3: Box<dyn BlobStore> = match &settings.s3 {
            None => Box::new(unset::UnsetStore::new("no S3_BUCKET is set".to_owned())),
            Some(bucket) => match s3::S3Store::new(db.clone(), bucket) {
                Ok(store) => Box::new(store),
                Err(fault) => Box::new(unset::UnsetStore::new(format!("{fault:#}"))),
            },
        };
        let uploads = &settings.uploads;
        Self {
            chosen: uploads.store,
            postgres: postgres::PostgresStore::new(db.clone()),
            disk: disk::DiskStore::new(db.clone(), compute.clone(), uploads.disk_path.clone()),
            s3,
        }
    }

    /// Where new uploads go.
    pub(crate) fn chosen(&self) -> (StoreKind, &dyn BlobStore) {
        (self.chosen, self.of(self.chosen))
    }

    /// Where an upload is.
    pub(crate) fn of(&self, kind: StoreKind) -> &dyn BlobStore {
        match kind {
            StoreKind::Postgres => &self.postgres,
            StoreKind::Disk => &self.disk,
            StoreKind::S3 => &*self.s3,
        }
    }
}
