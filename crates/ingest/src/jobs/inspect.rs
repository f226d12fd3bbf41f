//! The inspection: reads a stored file back, proves that it is what was received,
//! and says what is in it.
//!
//! It never changes a byte, and a checkpoint lets the next attempt go on.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;
use slipway_core::{ByteCount, Sha256Digest, UploadId, UploadState};
use slipway_db::{Settlement, Upload};

use super::reporter::{Interrupted, Reporter, Standing};
use super::text::TextScan;
use crate::Ingest;
use crate::checksum::Checksum;

/// Bytes from the start of a file by which its type is told; the signatures that
/// are known lie within them.
const HEAD_BYTES: usize = 8192;

/// The type of bytes that nothing is known about (RFC 2046 section 4.5.1).
const UNKNOWN: &str = "application/octet-stream";

/// How far an inspection has got.
struct Inspection {
    at: ByteCount,
    checksum: Checksum,
    text: TextScan,
    head: Vec<u8>,
}

/// The same, as it is kept between two attempts.
#[derive(Serialize, Deserialize)]
struct Checkpoint {
    at: u64,
    checksum: String,
    is_text: bool,
    lines: u64,
    open_line: bool,
    carry: String,
    head: String,
}

pub(super) async fn run(
    ingest: &Ingest,
    id: UploadId,
    checkpoint: Option<serde_json::Value>,
    reporter: &mut Reporter,
) -> Result<Settlement, Interrupted> {
    let upload = ingest.db.upload_get(id).await.context("finding the file")?;
    let Some(upload) = upload.filter(|upload| upload.removed_at.is_none()) else {
        return Ok(Settlement::Refused {
            message: "the file was removed".to_owned(),
        });
    };
    if !matches!(upload.state, UploadState::Verifying | UploadState::Stored) {
        return Ok(Settlement::Refused {
            message: format!("the file is {}", upload.state),
        });
    }
    if upload.state == UploadState::Verifying {
        ingest.stores.of(upload.store).settle(id).await?;
    }
    let mut inspection = checkpoint
        .and_then(Inspection::restore)
        .unwrap_or_else(Inspection::new);
    while inspection.at < upload.stored {
        reporter
            .at(inspection.standing(&upload), || inspection.save())
            .await?;
        inspection = inspection.read_on(ingest, &upload).await?;
    }
    reporter
        .at(inspection.standing(&upload), || inspection.save())
        .await?;
    let found = inspection.checksum.finish();
    // Without an expectation there is nothing to disagree with: this is the hash.
    if let Some(expected) = upload.sha256.filter(|expected| *expected != found) {
        tracing::error!(upload = %id, "the stored bytes of upload {id} are not those that were received");
        return Ok(Settlement::UploadFailed {
            message: format!(
                "the stored bytes have the SHA-256 {found}, but {expected} was received"
            ),
        });
    }
    Ok(inspection.conclude(&upload, found))
}

impl Inspection {
    fn new() -> Self {
        Self {
            at: ByteCount::ZERO,
            checksum: Checksum::default(),
            text: TextScan::new(),
            head: Vec::new(),
        }
    }

    fn standing(&self, upload: &Upload) -> Standing {
        Standing {
            step: "reading back",
            done: self.at.to_u64(),
            total: Some(upload.stored.to_u64()),
        }
    }

    async fn read_on(mut self, ingest: &Ingest, upload: &Upload) -> Result<Self, Interrupted> {
        let store = ingest.stores.of(upload.store);
        let left = upload.stored.since(self.at);
        let data = store.read(upload.id, self.at, left).await?;
        let length = u64::try_from(data.len()).context("measuring some bytes")?;
        let wanted = HEAD_BYTES.saturating_sub(self.head.len()).min(data.len());
        self.head.extend_from_slice(&data[..wanted]);
        self.at = self
            .at
            .checked_add(length)
            .context("a file that is too large")?;
        let scanned = ingest.compute.hash(move || {
            self.checksum.update(&data);
            self.text.update(&data);
            self
        });
        Ok(scanned.await?)
    }

    fn conclude(&self, upload: &Upload, sha256: Sha256Digest) -> Settlement {
        let lines = self.text.lines();
        let media_type = media_type(&self.head, lines.is_some(), upload.media_type.as_deref());
        let message = match lines {
            Some(1) => "verified; 1 line of text".to_owned(),
            Some(lines) if upload.stored != ByteCount::ZERO => {
                format!("verified; {lines} lines of text")
            }
            _ => format!("verified; {media_type}"),
        };
        Settlement::Inspected {
            sha256,
            findings: json!({ "media_type": media_type, "text": lines.is_some(), "lines": lines }),
            media_type: Some(media_type),
            message,
        }
    }

    fn save(&self) -> serde_json::Value {
        let (is_text, lines, open_line, carry) = self.text.save();
        json!(Checkpoint {
            at: self.at.to_u64(),
            checksum: STANDARD.encode(self.checksum.save()),
            is_text,
            lines,
            open_line,
            carry: STANDARD.encode(carry),
            head: STANDARD.encode(&self.head),
        })
    }

    /// `None` when it is not one of ours: then the file is read from the start.
    fn restore(saved: serde_json::Value) -> Option<Self> {
        let saved: Checkpoint = serde_json::from_value(saved).ok()?;
        let decode = |text: &str| STANDARD.decode(text).ok();
        Some(Self {
            at: ByteCount::try_from(saved.at).ok()?,
            checksum: Checksum::restore(&decode(&saved.checksum)?)?,
            text: TextScan::restore(
                saved.is_text,
                saved.lines,
                saved.open_line,
                decode(&saved.carry)?,
            ),
            head: decode(&saved.head)?,
        })
    }
}

/// What a file is: by its first bytes if they are known, else text or not. What
/// its sender said counts only where the bytes agree that it is text.
fn media_type(head: &[u8], is_text: bool, announced: Option<&str>) -> String {
    if let Some(known) = infer::get(head) {
        return known.mime_type().to_owned();
    }
    let textual = |kind: &&str| {
        kind.starts_with("text/") || matches!(*kind, "application/json" | "application/x-ndjson")
    };
    let found = match (is_text, announced.filter(textual)) {
        (true, Some(announced)) => announced,
        (true, None) => "text/plain",
        (false, _) => UNKNOWN,
    };
    found.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_outweigh_what_the_sender_said() {
        let png = b"\x89PNG\r\n\x1a\n0000IHDR";
        for (head, is_text, announced, found) in [
            (png.as_slice(), false, Some("text/html"), "image/png"),
            (b"a,b\n1,2\n", true, Some("text/csv"), "text/csv"),
            (b"a,b\n1,2\n", true, Some("image/png"), "text/plain"),
            (b"a,b\n1,2\n", true, None, "text/plain"),
            (b"\x00\x01\x02", false, Some("text/csv"), UNKNOWN),
        ] {
            assert_eq!(media_type(head, is_text, announced), found);
        }
    }

    #[test]
    fn a_checkpoint_reads_back() {
        let mut inspection = Inspection::new();
        inspection.at = ByteCount::from_u32(5);
        inspection.checksum.update(b"caf\xc3");
        inspection.text.update(b"caf\xc3");
        inspection.head = b"caf\xc3".to_vec();

        let again = Inspection::restore(inspection.save()).unwrap();

        assert_eq!(
            (again.at, again.text, again.head),
            (inspection.at, inspection.text, inspection.head)
        );
        assert_eq!(again.checksum.finish(), inspection.checksum.finish());
    }

    #[test]
    fn a_checkpoint_of_another_shape_starts_over() {
        assert!(Inspection::restore(json!({"at": -1})).is_none());
        assert!(Inspection::restore(json!("x")).is_none());
    }
}
