//! Bytes in files below a folder, one for each upload.
//!
//! A file is named by the id of its upload alone, never by anything that a client
//! says. It begins with a header of ours that holds the number of the newest writer:
//! under the file's lock that number is compared and the bytes are written, so that a
//! connection which was superseded, in this process or another on the same disk, can
//! never overwrite what its successor has written.
//!
//! It never acknowledges what is not on the disk: data is synced before the row moves,
//! and the name of the file before anybody is told of the upload.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use slipway_core::{ByteCount, StoreKind, UploadId};
use slipway_db::{Advanced, Claim, Db};

use super::{BlobStore, Step, Written};
use crate::compute::Compute;

/// Bytes between two syncs. A sync costs what a few MiB cost, so at 16 MiB it hardly
/// shows; a crash costs a sender no more than this, or what a second brings.
const BYTES_BETWEEN_SYNCS: u64 = 16 * 1024 * 1024;

/// The most that is read at once, and so what a download has in memory.
const READ_BYTES: u64 = 1024 * 1024;

/// Files deleted in one step of a sweep.
const SWEEP_FILES: u16 = 64;

/// What is left free of the disk, for the logs and temporary files of others: a full
/// disk breaks more than uploads.
const RESERVED_BYTES: u64 = 64 * 1024 * 1024;

/// What stands before the bytes of a file: a block of the disk, so that they stay
/// aligned. Its first bytes are the mark, the id and the number of the writer.
const HEADER_BYTES: u64 = 4096;

/// Says that a file is one of ours, and in which layout.
const MARK: [u8; 8] = *b"SLIPWAY1";
const ID_AT: usize = 8;
const WRITER_AT: usize = 24;
const WRITER_END: usize = 32;

/// Tries to get the lock of a file, and the pause between two. A lock is held for as
/// long as one chunk takes to be copied, some milliseconds; after two seconds its
/// holder is stuck.
const LOCK_TRIES: u32 = 400;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The store on a disk.
pub(super) struct DiskStore {
    db: Db,
    compute: Compute,
    root: Arc<Path>,
}

impl DiskStore {
    pub(super) fn new(db: Db, compute: Compute, root: PathBuf) -> Self {
        Self {
            db,
            compute,
            root: root.into(),
        }
    }

    /// Does something to the file of an upload, in the room for blocking work.
    async fn with_file<T: Send + 'static>(
        &self,
        id: UploadId,
        work: impl FnOnce(&Path) -> std::io::Result<T> + Send + 'static,
    ) -> Result<std::io::Result<T>> {
        let path = path(&self.root, id);
        self.compute.disk(move || work(&path)).await
    }

    /// Whether a file that is not there was taken away on purpose.
    async fn is_unwanted(&self, id: UploadId) -> Result<bool> {
        let upload = self.db.upload_get(id).await.context("finding the upload")?;
        Ok(upload.is_none_or(|upload| {
            upload.removed_at.is_some() || upload.state == slipway_core::UploadState::Expired
        }))
    }

    /// Writes, and syncs if it is to last; the fence in the file says whether it may.
    async fn put(&self, claim: &Claim, at: ByteCount, data: Bytes, last: bool) -> Result<Written> {
        let (id, writer) = (claim.id(), claim.writer());
        let put = self.with_file(id, move |path| {
            let file = OpenOptions::new().read(true).write(true).open(path)?;
            let written = write_fenced(&file, id, writer, at, &data)?;
            if last && written == Written::Yes {
                file.sync_data()?;
            }
            Ok(written)
        });
        match put.await? {
            Err(error) if error.kind() == ErrorKind::NotFound && self.is_unwanted(id).await? => {
                Ok(Written::Superseded)
            }
            put => put.with_context(|| format!("writing byte {at} of upload {id} to the disk")),
        }
    }
}

impl BlobStore for DiskStore {
    fn create(&self, id: UploadId) -> BoxFuture<'_, Result<()>> {
        async move {
            let created = self.with_file(id, move |path| create(path, id)).await?;
            created.with_context(|| format!("creating the file of upload {id}"))
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        claim: &'a Claim,
        at: ByteCount,
        data: Bytes,
    ) -> BoxFuture<'a, Result<Written>> {
        self.put(claim, at, data, false).boxed()
    }

    fn commit(&self, claim: Claim, step: Step) -> BoxFuture<'_, Result<Advanced>> {
        async move {
            let at = step.tail_start()?;
            match self.put(&claim, at, step.tail.clone(), true).await? {
                Written::Superseded => Ok(Advanced::Superseded),
                Written::Yes => {
                    let advanced = self.db.upload_advance(claim, step.of_row()).await;
                    advanced.context("advancing the upload")
                }
            }
        }
        .boxed()
    }

    fn bytes_between_commits(&self) -> u64 {
        BYTES_BETWEEN_SYNCS
    }

    fn read(&self, id: UploadId, at: ByteCount, most: u64) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let most = usize::try_from(most.min(READ_BYTES))?;
            let read = self.with_file(id, move |path| {
                let file = File::open(path)?;
                let mut data = vec![0; most];
                let length = file.read_at(&mut data, HEADER_BYTES + at.to_u64())?;
                data.truncate(length);
                Ok(data)
            });
            let data = read
                .await?
                .with_context(|| format!("reading byte {at} of upload {id} from the disk"))?;
            ensure!(
                !data.is_empty() || most == 0,
                "byte {at} of upload {id} is not there"
            );
            Ok(Bytes::from(data))
        }
        .boxed()
    }

    fn free(&self) -> BoxFuture<'_, Result<Option<u64>>> {
        async move {
            let root = Arc::clone(&self.root);
            let free = self.compute.disk(move || free_below(&root)).await?;
            let free = free.context("asking how much room the disk has")?;
            Ok(Some(free.saturating_sub(RESERVED_BYTES)))
        }
        .boxed()
    }

    fn sweep(&self) -> BoxFuture<'_, Result<usize>> {
        async move {
            let unswept = self.db.upload_unswept(StoreKind::Disk, SWEEP_FILES);
            let ids = unswept.await.context("finding files to sweep")?;
            if ids.is_empty() {
                return Ok(0);
            }
            for id in &ids {
                let removed = self.with_file(*id, remove).await?;
                removed.with_context(|| format!("deleting the file of upload {id}"))?;
            }
            let count = ids.len();
            let noted = self.db.upload_swept(ids).await;
            noted.context("noting what was swept")?;
            Ok(count)
        }
        .boxed()
    }
}

/// What the file system has left, of which we may use that of ordinary users. Before
/// the first upload the folder is not there; then its parent's disk will hold it.
fn free_below(root: &Path) -> std::io::Result<u64> {
    let folder = root.ancestors().find(|folder| folder.is_dir());
    let folder = folder.unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Where the bytes of an upload are. The last two digits of its id are random, so the
/// files spread evenly over 256 folders.
fn path(root: &Path, id: UploadId) -> PathBuf {
    let name = id.to_string();
    root.join(&name[name.len() - 2..]).join(name)
}

fn create(path: &Path, id: UploadId) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    let open = || {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true).mode(0o600).open(path)
    };
    let file = match open() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            std::fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)?;
            sync_folder(folder.parent().unwrap_or(folder))?;
            open()?
        }
        opened => opened?,
    };
    file.write_all_at(&header(id, 0), 0)?;
    sync_folder(folder)
}

/// A name is durable once the folder that holds it is synced.
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn remove(path: &Path) -> std::io::Result<()> {
    match std::fs::remove_file(path) {
        // It was swept before, and the process died before it could say so.
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        removed => removed.and_then(|()| sync_folder(path.parent().unwrap_or(path))),
    }
}

fn header(id: UploadId, writer: i64) -> [u8; WRITER_END] {
    let mut header = [0; WRITER_END];
    header[..ID_AT].copy_from_slice(&MARK);
    header[ID_AT..WRITER_AT].copy_from_slice(id.to_uuid().as_bytes());
    header[WRITER_AT..].copy_from_slice(&writer.to_le_bytes());
    header
}

/// Writes unless a newer writer has been here. The lock makes comparing and writing
/// one step: whoever comes later finds our number, whoever came before has written.
fn write_fenced(
    file: &File,
    id: UploadId,
    writer: i64,
    at: ByteCount,
    data: &[u8],
) -> std::io::Result<Written> {
    lock(file)?;
    let write = || {
        let newest = newest_writer(file, id)?;
        if newest > writer {
            return Ok(Written::Superseded);
        }
        if newest < writer {
            file.write_all_at(&header(id, writer), 0)?;
        }
        file.write_all_at(data, HEADER_BYTES + at.to_u64())?;
        Ok(Written::Yes)
    };
    let written = write();
    file.unlock()?;
    written
}

/// The number in the header. A header that never reached the disk reads as zeros:
/// then nobody who wrote here is left.
fn newest_writer(file: &File, id: UploadId) -> std::io::Result<i64> {
    let mut found = [0; WRITER_END];
    let length = file.read_at(&mut found, 0)?;
    if length < WRITER_END || found == [0; WRITER_END] {
        return Ok(0);
    }
    if found[..WRITER_AT] != header(id, 0)[..WRITER_AT] {
        return Err(std::io::Error::new(
            ErrorKind::InvalidData,
            "the file is not one that this release has written",
        ));
    }
    let mut writer = [0; 8];
    writer.copy_from_slice(&found[WRITER_AT..]);
    Ok(i64::from_le_bytes(writer))
}

fn lock(file: &File) -> std::io::Result<()> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
    Err(std::io::Error::new(
        ErrorKind::TimedOut,
        "another writer holds the lock of the file",
    ))
}

#[cfg(test)]
mod tests;
