//! Announcing a file: checked before a byte of it is sent.
//!
//! It never refuses a file over its name; a name is made presentable.

use anyhow::Context;
use slipway_core::{Action, ByteCount, FileName, Sha256Digest, StoreKind, UploadId};
use slipway_db::{Created, NewUpload, Upload};

use super::room::NoRoom;
use crate::checksum::Checksum;
use crate::{Caller, Denied, Ingest};

/// Characters of an announced media type that are kept.
const MEDIA_TYPE_CHARACTERS_MAX: usize = 255;

/// A file as its sender announces it.
#[derive(Debug, Clone)]
pub struct NewFile {
    /// What the sender calls it.
    pub name: String,
    /// What the sender says it is.
    pub media_type: Option<String>,
    /// The `Upload-Metadata` header as it came; at most 8 KiB.
    pub metadata: String,
    /// Its size, if it is known.
    pub total: Option<ByteCount>,
    /// Whether its sender says when it is complete; else its size does.
    pub explicit_end: bool,
    /// Its part in a concatenation, as announced: at most 8 KiB.
    pub concat: Option<String>,
    /// The SHA-256 of the file, if the sender knows it; one that turns out to have
    /// another fails.
    pub expected: Option<Sha256Digest>,
}

/// Why a file was not announced.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// The caller may not announce files.
    #[error(transparent)]
    NotAllowed(#[from] Denied),
    /// The file is too large.
    #[error("the file has {given} bytes, and at most {max} are taken")]
    TooLarge {
        /// Its size.
        given: ByteCount,
        /// The largest size.
        max: ByteCount,
    },
    /// There is no room for it.
    #[error(transparent)]
    NoRoom(#[from] NoRoom),
    /// It has no bytes, and its sender announced the hash of some.
    #[error("the file has no bytes, and the SHA-256 {expected} was announced, which is of some")]
    WrongFile {
        /// What was announced.
        expected: Sha256Digest,
    },
    /// It is to be put together from what is no part, or not the caller's.
    #[error("a part is none of your uploads announced as parts, or it can never be whole")]
    NoSuchPart,
    /// Something broke on our side.
    #[error("the upload could not be created")]
    Fault(#[from] anyhow::Error),
}

impl Ingest {
    /// Announces a file. One without bytes is stored at once, unless its sender
    /// wants to say so.
    ///
    /// # Errors
    /// When the caller may not upload, the file is too large, there is no room for
    /// it, or on a fault.
    pub async fn create(&self, caller: &Caller, file: NewFile) -> Result<Upload, CreateError> {
        caller.may(Action::UploadCreate)?;
        let max = self.bytes_max();
        if let Some(given) = file.total.filter(|total| *total > max) {
            return Err(CreateError::TooLarge { given, max });
        }
        self.take_room(file.total).await?;
        let quota = self.quota();
        let empty = file.total == Some(ByteCount::ZERO) && !file.explicit_end;
        let whole = empty.then(|| Checksum::default().finish());
        if let (Some(whole), Some(expected)) = (whole, file.expected)
            && whole != expected
        {
            return Err(CreateError::WrongFile { expected });
        }
        let id = UploadId::new();
        let (store, place) = self.stores.chosen();
        if store != StoreKind::Postgres {
            // Looked at beforehand, or each refusal below would leave an empty place.
            self.require_room(caller.id(), file.total).await?;
        }
        // First: a place without an upload is a trifle, an upload without one is lost.
        place.create(id).await?;
        let new = NewUpload {
            id,
            owner: caller.id(),
            name: FileName::from_client(&file.name).as_str().to_owned(),
            media_type: file.media_type.filter(|text| is_media_type(text)),
            metadata: file.metadata,
            total: file.total,
            store,
            explicit_end: file.explicit_end,
            concat: file.concat,
            expected: file.expected,
            part_bytes: file.total.and_then(|total| place.part_bytes(total)),
            expires_after: self.settings.uploads.expires_after,
            whole,
            quota,
        };
        let created = self.db.upload_create(new).await;
        let upload = match created.context("announcing the upload")? {
            Created::Yes(upload) => *upload,
            Created::OverQuota(usage) => {
                return Err(NoRoom::of_account(&usage, file.total, &quota).into());
            }
        };
        if empty {
            self.enqueued.notify_one();
        }
        let total = file.total.map(ByteCount::to_u64);
        tracing::info!(upload = %upload.id, total, "upload {} announced", upload.id);
        Ok(upload)
    }
}

/// Whether a client's media type has the form of one (RFC 6838 section 4.2),
/// parameters not included; anything else is dropped as hostile.
pub(super) fn is_media_type(text: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$&-^_.+".contains(&byte))
    };
    text.len() <= MEDIA_TYPE_CHARACTERS_MAX
        && text
            .split_once('/')
            .is_some_and(|(kind, name)| is_name(kind) && is_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_form_of_a_media_type_is_believed() {
        for (text, believed) in [
            ("text/csv", true),
            ("application/vnd.ms-excel", true),
            ("image/svg+xml", true),
            ("", false),
            ("text", false),
            ("text/", false),
            ("text/html; charset=utf-8", false),
            ("text/html\r\nX-Evil: 1", false),
        ] {
            assert_eq!(is_media_type(text), believed, "{text:?}");
        }
    }
}
