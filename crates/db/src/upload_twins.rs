//! Stored files with the same content.
//!
//! It never joins them: each keeps its own bytes, its own owner and its own end.

use diesel::prelude::*;
use slipway_core::{AccountId, UploadId, UploadState};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::schema::uploads;
use crate::uploads::is_no_part;
use crate::{Db, DbError};

/// Another upload with the same content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Twin {
    /// Which upload.
    pub id: UploadId,
    /// What its owner calls it.
    pub name: String,
    /// When it was announced.
    pub created_at: OffsetDateTime,
}

impl Db {
    /// The oldest other stored file with the content of this one, of this owner or, if
    /// none is given, of anybody.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn upload_twin(
        &self,
        id: UploadId,
        owner: Option<AccountId>,
    ) -> Result<Option<Twin>, DbError> {
        self.run("looking for the same content", move |connection| {
            let sha256: Option<Vec<u8>> = uploads::table
                .find(id.to_uuid())
                .filter(uploads::state.eq(UploadState::Stored.as_str()))
                .select(uploads::sha256)
                .first(connection)
                .optional()?
                .flatten();
            let Some(sha256) = sha256 else {
                return Ok(None);
            };
            let mut same = uploads::table
                .filter(uploads::sha256.eq(sha256))
                .filter(uploads::state.eq(UploadState::Stored.as_str()))
                .filter(uploads::removed_at.is_null())
                .filter(is_no_part())
                .filter(uploads::id.ne(id.to_uuid()))
                .order(uploads::id)
                .select((uploads::id, uploads::name, uploads::created_at))
                .into_boxed();
            if let Some(owner) = owner {
                same = same.filter(uploads::owner_id.eq(owner.to_uuid()));
            }
            let found: Option<(Uuid, String, OffsetDateTime)> =
                same.first(connection).optional()?;
            Ok(found.map(|(id, name, created_at)| Twin {
                id: UploadId::from_uuid(id),
                name,
                created_at,
            }))
        })
        .await
    }
}
