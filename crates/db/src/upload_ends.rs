//! How a connection loses an upload: somebody newer asks for it, or it cannot
//! become whole.
//!
//! It never moves an offset; that is `upload_writes.rs`.

use diesel::prelude::*;
use slipway_core::{Topic, UploadId, UploadState};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::uploads;
use crate::uploads::{UploadRow, touch_account_in_txn};
use crate::{Claim, Db, DbError, Upload};

/// What an upload was when a newer connection asked for it.
#[derive(Debug, Clone, PartialEq)]
pub enum Taken {
    /// This; all connections before number `writer` are superseded.
    Is {
        /// The upload.
        upload: Box<Upload>,
        /// Newer than every connection that sent it.
        writer: i64,
    },
    /// No upload has this id.
    Missing,
}

/// The row of a claim, if the claim still holds and stands where it says.
#[diesel::dsl::auto_type(no_type_alias)]
fn claimed(claim: &Claim) -> _ {
    let id: Uuid = claim.id().to_uuid();
    let writer: i64 = claim.writer();
    let stored: i64 = claim.stored().to_i64();
    let receiving: &'static str = UploadState::Receiving.as_str();
    uploads::table
        .find(id)
        .filter(uploads::writer.eq(writer))
        .filter(uploads::stored_bytes.eq(stored))
        .filter(uploads::state.eq(receiving))
        .filter(uploads::removed_at.is_null())
}

impl Db {
    /// Supersedes whoever is sending and says where the upload stands, so that
    /// the offset told is one the next chunk will find. Of an upload that takes
    /// no more bytes nothing changes.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_take(&self, id: UploadId) -> Result<Taken, DbError> {
        let taken = self
            .run("taking an upload", move |connection| {
                let receiving = diesel::update(
                    uploads::table
                        .find(id.to_uuid())
                        .filter(uploads::state.eq(UploadState::Receiving.as_str()))
                        .filter(uploads::removed_at.is_null()),
                )
                .set(uploads::writer.eq(uploads::writer + 1))
                .returning((UploadRow::as_returning(), uploads::writer))
                .get_result::<(UploadRow, i64)>(connection)
                .optional()?;
                let found = match receiving {
                    Some(found) => Some(found),
                    None => uploads::table
                        .find(id.to_uuid())
                        .select((UploadRow::as_select(), uploads::writer))
                        .first(connection)
                        .optional()?,
                };
                let Some((row, writer)) = found else {
                    return Ok(Taken::Missing);
                };
                Ok(Taken::Is {
                    upload: Box::new(row.into_upload()?),
                    writer,
                })
            })
            .await?;
        // Whoever is superseded may be held by another process.
        self.doorbell().ring([Topic::Upload(id)]);
        Ok(taken)
    }

    /// The number of the newest connection of each of these uploads.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_writers(
        &self,
        ids: Vec<UploadId>,
    ) -> Result<Vec<(UploadId, i64)>, DbError> {
        self.run("asking who sends", move |connection| {
            let ids: Vec<Uuid> = ids.into_iter().map(UploadId::to_uuid).collect();
            let writers: Vec<(Uuid, i64)> = uploads::table
                .filter(uploads::id.eq_any(ids))
                .select((uploads::id, uploads::writer))
                .load(connection)?;
            let of = |(id, writer)| (UploadId::from_uuid(id), writer);
            Ok(writers.into_iter().map(of).collect())
        })
        .await
    }

    /// Gives up an upload that cannot become whole; `false` when the claim no
    /// longer holds.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_fail(&self, claim: Claim, message: String) -> Result<bool, DbError> {
        let changed = self
            .run("giving up an upload", move |connection| {
                let owner: Option<Uuid> = diesel::update(claimed(&claim))
                    .set((
                        uploads::state.eq(UploadState::Failed.as_str()),
                        uploads::message.eq(message),
                        uploads::hash_state.eq(None::<Vec<u8>>),
                        uploads::rate.eq(None::<i64>),
                        uploads::finished_at.eq(OffsetDateTime::now_utc()),
                        uploads::expires_at.eq(None::<OffsetDateTime>),
                        uploads::seq.eq(uploads::seq + 1),
                    ))
                    .returning(uploads::owner_id)
                    .get_result(connection)
                    .optional()?;
                let Some(owner) = owner else {
                    return Ok(vec![]);
                };
                Ok(vec![
                    Topic::Upload(claim.id()),
                    touch_account_in_txn(connection, owner)?,
                ])
            })
            .await?;
        let failed = !changed.is_empty();
        self.doorbell().ring(changed);
        Ok(failed)
    }
}
