//! Putting a file together from others, part by part, through their stores.
//!
//! It advances the file like any sender, fenced by the same number, so that it goes
//! on where a killed worker stopped, and two workers can never both write.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use serde_json::json;
use slipway_core::{ByteCount, UploadId};
use slipway_db::{Advanced, Claim, Part, Settlement};

use super::reporter::{Interrupted, Reporter, Standing};
use crate::Ingest;
use crate::checksum::Checksum;
use crate::stores::{BlobStore, Step, Written};

/// Bytes that are read at once: as many as a sender's chunk has, so that a job adds
/// no more to memory than an upload does.
const READ_BYTES: u64 = 1024 * 1024;

/// How long parts are kept once the file is whole: longer than any client repeats
/// the request that named them.
const PARTS_KEPT: Duration = Duration::from_secs(600);

/// A file that is being put together.
struct Assembly<'a> {
    store: &'a dyn BlobStore,
    claim: Claim,
    checksum: Checksum,
    /// Where the bytes end that the store has, committed or not.
    written: ByteCount,
    total: ByteCount,
}

/// What came of the next bytes.
enum Taken<T> {
    Yes(T),
    /// The file is gone, or another worker has it.
    Superseded,
    /// They complete another file than was announced.
    WrongFile(String),
}

pub(super) async fn run(
    ingest: &Ingest,
    id: UploadId,
    reporter: &mut Reporter,
) -> Result<Settlement, Interrupted> {
    let claimed = ingest.db.upload_claim_assembly(id).await;
    let Some((claim, saved)) = claimed.context("claiming the file")? else {
        return Ok(refused("there is nothing to put together any more"));
    };
    ingest.stores.of(claim.store()).begin(&claim).await?;
    let parts = ingest.db.upload_parts(id).await;
    let parts = parts.context("reading what it is put together from")?;
    if parts.iter().any(|part| !part.is_kept) {
        return Ok(Settlement::UploadFailed {
            message: "a part was removed before the file was put together".to_owned(),
        });
    }
    let checksum = ingest.checksum_so_far(&claim, saved.as_deref()).await;
    let mut assembly = Assembly {
        store: ingest.stores.of(claim.store()),
        checksum: checksum.context("hashing what is there")?,
        written: claim.stored(),
        total: claim.total().context("a concatenation without a size")?,
        claim,
    };
    loop {
        // What is durable is the checkpoint.
        reporter.at(assembly.standing(), || json!({})).await?;
        let tail = assembly.next(ingest, &parts).await?;
        let last = assembly.reaches(&tail)? == assembly.total;
        assembly = match assembly.take(ingest, tail, last).await? {
            Taken::Yes(further) => further,
            Taken::Superseded => return Ok(refused("the file was removed")),
            Taken::WrongFile(message) => return Ok(Settlement::UploadFailed { message }),
        };
        if last {
            break;
        }
    }
    ingest.enqueued.notify_one();
    let released = ingest.db.upload_parts_release(id, PARTS_KEPT).await;
    released.context("letting the parts go")?;
    tracing::info!(upload = %id, "upload {id} put together");
    reporter.at(assembly.standing(), || json!({})).await?;
    Ok(Settlement::Done {
        message: format!("put together from {} parts", parts.len()),
    })
}

fn refused(message: &str) -> Settlement {
    Settlement::Refused {
        message: message.to_owned(),
    }
}

impl Assembly<'_> {
    fn standing(&self) -> Standing {
        Standing {
            step: "putting together",
            done: self.written.to_u64(),
            total: Some(self.total.to_u64()),
        }
    }

    /// The bytes that follow; none when there are none.
    async fn next(&self, ingest: &Ingest, parts: &[Part]) -> anyhow::Result<Bytes> {
        let Some((part, at)) = part_at(parts, self.written) else {
            return Ok(Bytes::new());
        };
        let left = part.total.since(at).min(READ_BYTES);
        let read = ingest.stores.of(part.store).read(part.id, at, left);
        read.await
            .with_context(|| format!("reading part {}", part.id))
    }

    /// Where the file ends with `tail`.
    fn reaches(&self, tail: &Bytes) -> anyhow::Result<ByteCount> {
        let length = u64::try_from(tail.len()).context("measuring some bytes")?;
        let to = self.written.checked_add(length);
        to.filter(|to| *to <= self.total)
            .filter(|to| !tail.is_empty() || *to == self.total)
            .ok_or_else(|| anyhow!("the parts are not as large as they were"))
    }

    /// Hashes the bytes that follow and hands them to the store.
    async fn take(
        mut self,
        ingest: &Ingest,
        tail: Bytes,
        last: bool,
    ) -> anyhow::Result<Taken<Self>> {
        let to = self.reaches(&tail)?;
        self.checksum = ingest.update(self.checksum, tail.clone()).await?;
        let pending = to.since(self.claim.stored());
        if !last && pending < self.store.bytes_between_commits() {
            let written = self.store.write(&self.claim, self.written, tail).await?;
            self.written = to;
            return Ok(match written {
                Written::Yes => Taken::Yes(self),
                Written::Superseded => Taken::Superseded,
            });
        }
        let found = self.checksum.finish();
        if let Some(expected) = self.claim.expected().filter(|_| last)
            && expected != found
        {
            return Ok(Taken::WrongFile(format!(
                "the file has the SHA-256 {found}, and {expected} was announced"
            )));
        }
        let step = Step {
            to,
            tail,
            hash_state: Some(self.checksum.save()),
            rate: None,
            whole: last.then_some(found),
            verify: false,
        };
        match self.store.commit(self.claim, step).await? {
            Advanced::Superseded => Ok(Taken::Superseded),
            Advanced::Yes(claim) => Ok(Taken::Yes(Self {
                claim,
                written: to,
                ..self
            })),
        }
    }
}

/// The part that holds byte `at` of the file, and where in the part that is.
fn part_at(parts: &[Part], at: ByteCount) -> Option<(&Part, ByteCount)> {
    let mut skip = at.to_u64();
    for part in parts {
        if skip < part.total.to_u64() {
            return Some((part, ByteCount::try_from(skip).ok()?));
        }
        skip -= part.total.to_u64();
    }
    None
}

#[cfg(test)]
mod tests {
    use slipway_core::StoreKind;

    use super::*;

    #[test]
    fn every_byte_is_found_in_its_part_and_empty_parts_are_passed_over() {
        let parts: Vec<Part> = [3, 0, 2]
            .into_iter()
            .map(|total| Part {
                id: UploadId::new(),
                total: ByteCount::from_u32(total),
                store: StoreKind::Postgres,
                is_kept: true,
            })
            .collect();
        let at = |at| {
            let found = part_at(&parts, ByteCount::from_u32(at));
            found.map(|(part, at)| (part.id, at.to_u64()))
        };

        assert_eq!(at(0), Some((parts[0].id, 0)));
        assert_eq!(at(2), Some((parts[0].id, 2)));
        assert_eq!(at(3), Some((parts[2].id, 0)));
        assert_eq!(at(4), Some((parts[2].id, 1)));
        assert_eq!(at(5), None);
    }
}
