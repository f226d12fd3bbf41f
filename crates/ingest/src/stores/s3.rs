//! Bytes in objects of an S3 bucket, by way of Postgres.
//!
//! S3 takes parts of at least 5 MiB, all or nothing, and at most 10,000 of them. So a
//! chunk is first committed in Postgres, like any other; when a part is full, it is
//! sent to S3, and its tag is stored in the transaction that deletes its chunks. What
//! was acknowledged is thereby durable to the byte, and any process can go on from the
//! rows. The last part is sent and the object put together by the inspection, because
//! that takes longer than a request may.
//!
//! It never holds more than one part for each permit, and names an object by the id of
//! its upload alone. An upload that expires or is removed has its unfinished object
//! aborted by the sweep; one that S3 began and nobody could note, because the process
//! died in that moment, is for the bucket's own rule on incomplete uploads.

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::multipart::{MultipartStore, PartId};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use secrecy::ExposeSecret;
use slipway_config::S3Settings;
use slipway_core::{ByteCount, StoreKind, UploadId};
use slipway_db::{Advanced, Chunk, Claim, Db, Ship, Shipper};
use tokio::sync::Semaphore;

use super::postgres::discard_ahead;
use super::{BlobStore, Step, Written};

/// The least size of a part. S3 asks for 5 MiB; at 8 MiB a request is worth its price.
const PART_BYTES_MIN: u64 = 8 * 1024 * 1024;

/// Parts that a file of known size is cut into at most: S3 takes 10,000, and a tenth
/// is left for the day on which this is wrong.
const PARTS_MAX: u64 = 9000;

/// Where the size is not known beforehand, parts double after so many: 8 GiB in the
/// first thousand, 4 TiB in nine, and S3 takes no more than 5.
const PARTS_A_SIZE: u32 = 1000;

/// Parts in memory at once: of files up to 70 GiB they have 8 MiB, so 16 MiB.
const PARTS_AT_ONCE: usize = 2;

/// The most that is read at once, and so what a download has in memory.
const READ_BYTES: u64 = 1024 * 1024;

/// Objects deleted in one step of a sweep.
const SWEEP_OBJECTS: u16 = 16;

/// The store in a bucket.
pub(super) struct S3Store {
    db: Db,
    bucket: AmazonS3,
    parts: Semaphore,
}

/// A part that is full, or the rest of a file.
struct Part {
    number: u32,
    start: ByteCount,
    end: ByteCount,
}

impl S3Store {
    pub(super) fn new(db: Db, settings: &S3Settings) -> Result<Self> {
        let mut bucket = AmazonS3Builder::new()
            .with_bucket_name(&settings.bucket)
            .with_region(&settings.region)
            .with_access_key_id(&settings.access_key_id)
            .with_secret_access_key(settings.secret_access_key.expose_secret());
        if let Some(endpoint) = &settings.endpoint {
            // Deployed environments have refused one without TLS before.
            bucket = bucket.with_endpoint(endpoint).with_allow_http(true);
        }
        Ok(Self {
            db,
            bucket: bucket.build().context("opening the bucket")?,
            parts: Semaphore::new(PARTS_AT_ONCE),
        })
    }

    async fn ship(&self, id: UploadId) -> Result<Ship> {
        let ship = self.db.ship_get(id).await.context("finding the parts")?;
        ship.with_context(|| format!("there is no upload {id}"))
    }

    /// Sends every part that is full; `false` if the claim no longer holds.
    async fn send_full_parts(&self, claim: &Claim, ship: &mut Ship) -> Result<bool> {
        while let Some(part) = full_part(ship) {
            let shipper = Shipper::Writer(claim.clone());
            let Some(multipart) = self.multipart(&shipper, ship).await? else {
                return Ok(false);
            };
            let tag = self.send(claim.id(), &multipart, &part).await?;
            let stored = self.db.part_store(shipper, part.number, part.end, tag);
            if !stored.await.context("storing the tag of a part")? {
                return Ok(false);
            }
            ship.parts = part.number;
            ship.shipped = part.end;
        }
        Ok(true)
    }

    /// What S3 calls the unfinished object, begun first if it is not; `None` if the
    /// shipper may not go on.
    async fn multipart(&self, shipper: &Shipper, ship: &mut Ship) -> Result<Option<String>> {
        if let Some(multipart) = &ship.multipart {
            return Ok(Some(multipart.clone()));
        }
        let path = path(shipper.upload());
        let begun = self.bucket.create_multipart(&path).await;
        let begun = begun.context("beginning an object")?;
        let noted = self.db.ship_begin(shipper.clone(), begun.clone()).await;
        let noted = noted.context("noting the object")?;
        if noted.as_ref() != Some(&begun) {
            let aborted = self.bucket.abort_multipart(&path, &begun).await;
            aborted.context("aborting an object that nobody needs")?;
        }
        ship.multipart.clone_from(&noted);
        Ok(noted)
    }

    /// Sends one part from its chunks; its tag.
    async fn send(&self, id: UploadId, multipart: &String, part: &Part) -> Result<String> {
        let _permit = self.parts.acquire().await.context("waiting to send")?;
        let payload = self.payload(id, part.start, part.end).await?;
        let index = usize::try_from(part.number)?.saturating_sub(1);
        let path = path(id);
        let sent = self.bucket.put_part(&path, multipart, index, payload).await;
        let sent = sent.with_context(|| format!("sending part {}", part.number))?;
        Ok(sent.content_id)
    }

    /// Bytes that are in Postgres.
    async fn payload(&self, id: UploadId, start: ByteCount, end: ByteCount) -> Result<PutPayload> {
        let (mut chunks, mut at) = (Vec::new(), start);
        while at < end {
            let chunk = self
                .db
                .chunk_read(id, at)
                .await
                .context("reading a chunk")?;
            let chunk = chunk.filter(|chunk| chunk.start == at);
            let chunk = chunk.with_context(|| format!("byte {at} of upload {id} is not there"))?;
            at = beyond(at, &chunk.data)?;
            chunks.push(chunk.data);
        }
        ensure!(
            at == end,
            "a chunk of upload {id} reaches beyond byte {end}"
        );
        Ok(chunks.into_iter().collect())
    }

    /// Sends what is left and puts the object together.
    async fn put_together(&self, id: UploadId, ship: &mut Ship) -> Result<()> {
        if ship.parts == 0 && ship.multipart.is_none() {
            let _permit = self.parts.acquire().await.context("waiting to send")?;
            let payload = self.payload(id, ByteCount::ZERO, ship.stored).await?;
            let put = self.bucket.put(&path(id), payload).await;
            put.context("storing an object")?;
            return Ok(());
        }
        let shipper = Shipper::Settler(id);
        let multipart = self.multipart(&shipper, ship).await?;
        let multipart = multipart.context("the upload was removed")?;
        while ship.shipped < ship.stored {
            let part = full_part(ship).unwrap_or(Part {
                number: ship.parts + 1,
                start: ship.shipped,
                end: ship.stored,
            });
            let tag = self.send(id, &multipart, &part).await?;
            let stored = self
                .db
                .part_store(shipper.clone(), part.number, part.end, tag);
            ensure!(
                stored.await.context("storing the tag of a part")?,
                "the upload was removed"
            );
            ship.parts = part.number;
            ship.shipped = part.end;
        }
        let tags = self.db.part_list(id).await.context("listing parts")?;
        let parts = tags.into_iter().map(|content_id| PartId { content_id });
        let completed = self
            .bucket
            .complete_multipart(&path(id), &multipart, parts.collect())
            .await;
        completed.context("putting an object together")?;
        Ok(())
    }

    /// Whether the bucket has the object, all of it.
    async fn is_there(&self, id: UploadId, length: ByteCount) -> Result<bool> {
        match self.bucket.head(&path(id)).await {
            Ok(found) => Ok(found.size == length.to_u64()),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error).context("looking for an object"),
        }
    }

    async fn delete(&self, id: UploadId) -> Result<()> {
        let gone = |result: object_store::Result<()>| match result {
            Err(object_store::Error::NotFound { .. }) => Ok(()),
            result => result,
        };
        let ship = self.db.ship_get(id).await.context("finding the parts")?;
        if let Some(multipart) = ship.and_then(|ship| ship.multipart) {
            let aborted = self.bucket.abort_multipart(&path(id), &multipart).await;
            gone(aborted).context("aborting an object")?;
        }
        gone(self.bucket.delete(&path(id)).await).context("deleting an object")
    }
}

impl BlobStore for S3Store {
    fn create(&self, _: UploadId) -> BoxFuture<'_, Result<()>> {
        // The row of the upload is all there is to make.
        async { Ok(()) }.boxed()
    }

    fn part_bytes(&self, total: ByteCount) -> Option<ByteCount> {
        let bytes = total.to_u64().div_ceil(PARTS_MAX).max(PART_BYTES_MIN);
        ByteCount::try_from(bytes).ok()
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
            let ship = self.ship(claim.id()).await?;
            for chunk in cut(&ship, at, data)? {
                let written = self.db.chunk_write_ahead(claim, chunk).await;
                if !written.context("writing a chunk ahead")? {
                    return Ok(Written::Superseded);
                }
            }
            Ok(Written::Yes)
        }
        .boxed()
    }

    fn commit(&self, claim: Claim, step: Step) -> BoxFuture<'_, Result<Advanced>> {
        async move {
            let mut ship = self.ship(claim.id()).await?;
            // First, so that Postgres never holds more than what S3 would not take.
            if !self.send_full_parts(&claim, &mut ship).await? {
                return Ok(Advanced::Superseded);
            }
            let mut chunks = cut(&ship, step.tail_start()?, step.tail.clone())?;
            let last = chunks.pop();
            for chunk in chunks {
                let written = self.db.chunk_write_ahead(&claim, chunk).await;
                if !written.context("writing a chunk ahead")? {
                    return Ok(Advanced::Superseded);
                }
            }
            let whole = step.whole.is_some() || step.verify;
            let mut advance = step.of_row();
            advance.chunk = last;
            // It is stored once it is in the bucket, and that is not now.
            advance.verify = whole;
            let advanced = self.db.upload_advance(claim, advance).await;
            let Advanced::Yes(claim) = advanced.context("storing a chunk")? else {
                return Ok(Advanced::Superseded);
            };
            ship.stored = claim.stored();
            // At the end the inspection does it: it is enqueued, and nobody waits for it.
            if !whole && !self.send_full_parts(&claim, &mut ship).await? {
                return Ok(Advanced::Superseded);
            }
            Ok(Advanced::Yes(claim))
        }
        .boxed()
    }

    fn bytes_between_commits(&self) -> u64 {
        0
    }

    fn settle(&self, id: UploadId) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut ship = self.ship(id).await?;
            let length = ship.stored;
            if length == ByteCount::ZERO || self.is_there(id, length).await? {
                // Put together by an earlier attempt that did not live to say so.
            } else if let Err(fault) = self.put_together(id, &mut ship).await {
                return Err(fault.context(format!("bringing upload {id} into the bucket")));
            }
            if !self.db.ship_end(id).await.context("noting the object")? {
                let upload = self.db.upload_get(id).await.context("finding the upload")?;
                // Of a stored upload there was nothing to note.
                if upload.is_none_or(|upload| upload.removed_at.is_some()) {
                    self.delete(id).await?;
                    bail!("upload {id} was removed");
                }
            }
            Ok(())
        }
        .boxed()
    }

    fn read(&self, id: UploadId, at: ByteCount, most: u64) -> BoxFuture<'_, Result<Bytes>> {
        async move {
            let start = at.to_u64();
            let range = start..start.saturating_add(most.min(READ_BYTES));
            let read = self.bucket.get_range(&path(id), range).await;
            let data = read.with_context(|| format!("reading byte {at} of upload {id}"))?;
            ensure!(!data.is_empty(), "byte {at} of upload {id} is not there");
            Ok(data)
        }
        .boxed()
    }

    fn sweep(&self) -> BoxFuture<'_, Result<usize>> {
        async move {
            let unswept = self.db.upload_unswept(StoreKind::S3, SWEEP_OBJECTS);
            let ids = unswept.await.context("finding objects to sweep")?;
            for id in &ids {
                self.delete(*id).await?;
            }
            let count = ids.len();
            if count > 0 {
                let noted = self.db.upload_swept(ids).await;
                noted.context("noting what was swept")?;
            }
            Ok(count)
        }
        .boxed()
    }
}

/// What the object of an upload is called.
fn path(id: UploadId) -> Path {
    Path::from(format!("uploads/{id}"))
}

fn beyond(at: ByteCount, data: &Bytes) -> Result<ByteCount> {
    let length = u64::try_from(data.len())?;
    at.checked_add(length).context("a file that is too large")
}

/// How large the part after the first `parts` is.
fn part_length(ship: &Ship, parts: u32) -> u64 {
    ship.part_bytes
        .unwrap_or_else(|| PART_BYTES_MIN << (parts / PARTS_A_SIZE).min(16))
}

/// The next part, if all of its bytes are durable.
fn full_part(ship: &Ship) -> Option<Part> {
    let end = ship.shipped.checked_add(part_length(ship, ship.parts))?;
    (end <= ship.stored).then_some(Part {
        number: ship.parts + 1,
        start: ship.shipped,
        end,
    })
}

/// Bytes that begin at `at`, cut where parts end.
fn cut(ship: &Ship, at: ByteCount, mut data: Bytes) -> Result<Vec<Chunk>> {
    let (mut chunks, mut start) = (Vec::new(), at);
    let (mut parts, mut end) = (ship.parts, ship.shipped);
    while !data.is_empty() {
        while end <= start {
            let length = part_length(ship, parts);
            end = end
                .checked_add(length)
                .context("a file that is too large")?;
            parts += 1;
        }
        let fits = usize::try_from(end.since(start)).unwrap_or(usize::MAX);
        let piece = data.split_to(fits.min(data.len()));
        let next = beyond(start, &piece)?;
        chunks.push(Chunk { start, data: piece });
        start = next;
    }
    Ok(chunks)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;

    fn ship(part_bytes: Option<u64>, parts: u32, shipped: u64, stored: u64) -> Ship {
        Ship {
            multipart: None,
            part_bytes,
            parts,
            shipped: ByteCount::try_from(shipped).unwrap(),
            stored: ByteCount::try_from(stored).unwrap(),
        }
    }

    #[test]
    fn parts_of_unknown_files_grow_so_that_ten_thousand_reach_far() {
        let (mut bytes, growing) = (0, ship(None, 0, 0, 0));
        for parts in 0..9000 {
            bytes += part_length(&growing, parts);
        }

        assert_eq!(part_length(&growing, 999), 8 * MIB);
        assert_eq!(part_length(&growing, 1000), 16 * MIB);
        assert!(bytes >= 3 * 1024 * 1024 * MIB, "{bytes}");
    }

    #[test]
    fn a_part_is_sent_when_all_of_it_is_durable() {
        assert!(full_part(&ship(Some(10), 2, 20, 29)).is_none());

        let part = full_part(&ship(Some(10), 2, 20, 45)).unwrap();

        assert_eq!(
            (part.number, part.start.to_u64(), part.end.to_u64()),
            (3, 20, 30)
        );
    }

    #[test]
    fn chunks_end_where_parts_do() {
        let ship = ship(Some(10), 1, 10, 17);
        let data = Bytes::from_static(b"abcdefghijklmnopq");

        let chunks = cut(&ship, ByteCount::from_u32(17), data).unwrap();

        let cut: Vec<_> = chunks
            .iter()
            .map(|chunk| (chunk.start.to_u64(), &chunk.data[..]))
            .collect();
        assert_eq!(cut, [(17, &b"abc"[..]), (20, b"defghijklm"), (30, b"nopq")]);
    }
}
