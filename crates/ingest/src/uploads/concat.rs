//! Announcing a file that is put together from others.
//!
//! It never touches a byte: the job `assemble` does, once all parts are whole.

use anyhow::Context;
use slipway_core::{Action, FileName, UploadId};
use slipway_db::{Created, FinalCreated, NewUpload, Upload};

use super::create::{CreateError, NewFile, is_media_type};
use super::room::NoRoom;
use crate::{Caller, Ingest};

impl Ingest {
    /// Announces a file that will have the bytes of `parts`, in this order; they need
    /// not be whole yet.
    ///
    /// # Errors
    /// When the caller may not upload, a part is none of theirs, the file would be
    /// too large, there is no room for it, or on a fault.
    pub async fn create_final(
        &self,
        caller: &Caller,
        file: NewFile,
        parts: Vec<UploadId>,
    ) -> Result<Upload, CreateError> {
        caller.may(Action::UploadCreate)?;
        let max = self.bytes_max();
        let quota = self.quota();
        let id = UploadId::new();
        let (store, place) = self.stores.chosen();
        place.create(id).await?;
        let new = NewUpload {
            id,
            owner: caller.id(),
            name: FileName::from_client(&file.name).as_str().to_owned(),
            media_type: file.media_type.filter(|text| is_media_type(text)),
            metadata: file.metadata,
            total: None,
            store,
            explicit_end: false,
            concat: file.concat,
            expires_after: self.settings.uploads.expires_after,
            part_bytes: None,
            expected: file.expected,
            whole: None,
            quota,
        };
        let created = self.db.upload_create_final(new, parts, max).await;
        let upload = match created.context("announcing a concatenation")? {
            FinalCreated::NoSuchPart => return Err(CreateError::NoSuchPart),
            FinalCreated::TooLarge(given) => return Err(CreateError::TooLarge { given, max }),
            FinalCreated::Done(Created::OverQuota(usage)) => {
                return Err(NoRoom::of_account(&usage, None, &quota).into());
            }
            FinalCreated::Done(Created::Yes(upload)) => *upload,
        };
        self.enqueued.notify_one();
        tracing::info!(upload = %upload.id, "upload {} announced, of parts", upload.id);
        Ok(upload)
    }
}
