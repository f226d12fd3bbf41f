//! Uploads on their way from Postgres into S3: which parts are there, what is left.
//!
//! It never deletes a byte before S3 has it: the tag of a part is stored in the same
//! transaction that deletes the chunks of it.

use diesel::prelude::*;
use slipway_core::{ByteCount, UploadId, UploadState};

use crate::schema::{chunks, parts, uploads};
use crate::uploads::bytes;
use crate::{Claim, Db, DbError};

/// How far an upload has got into S3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ship {
    /// What S3 calls the unfinished object, once there is one.
    pub multipart: Option<String>,
    /// Size of all parts but the last; `None` where it grows with their number.
    pub part_bytes: Option<u64>,
    /// Parts that S3 has.
    pub parts: u32,
    /// Where the last of them ends; the bytes from there on are in Postgres.
    pub shipped: ByteCount,
    /// Durable bytes, wherever they are.
    pub stored: ByteCount,
}

/// Who stores a part.
#[derive(Debug, Clone)]
pub enum Shipper {
    /// The connection that sends the bytes.
    Writer(Claim),
    /// The job that puts a whole file together.
    Settler(UploadId),
}

impl Shipper {
    /// The upload.
    pub fn upload(&self) -> UploadId {
        match self {
            Self::Writer(claim) => claim.id(),
            Self::Settler(id) => *id,
        }
    }

    /// Locks the upload's row if this shipper may still change it. The newest writer
    /// may while bytes come in, and when they have come nobody writes any more.
    fn lock_in_txn(&self, connection: &mut PgConnection) -> QueryResult<bool> {
        let row = uploads::table
            .find(self.upload().to_uuid())
            .filter(uploads::removed_at.is_null())
            .select((uploads::writer, uploads::state))
            .for_no_key_update()
            .first::<(i64, String)>(connection)
            .optional()?;
        Ok(row.is_some_and(|(writer, state)| match self {
            Self::Writer(claim) => {
                claim.writer() == writer && state != UploadState::Expired.as_str()
            }
            Self::Settler(_) => state == UploadState::Verifying.as_str(),
        }))
    }
}

impl Db {
    /// How far an upload has got into S3; `None` if there is no such upload.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn ship_get(&self, id: UploadId) -> Result<Option<Ship>, DbError> {
        self.run("reading how far an upload is in S3", move |connection| {
            let found = uploads::table
                .find(id.to_uuid())
                .select((
                    uploads::multipart,
                    uploads::part_bytes,
                    uploads::stored_bytes,
                ))
                .first::<(Option<String>, Option<i64>, i64)>(connection)
                .optional()?;
            let Some((multipart, part_bytes, stored)) = found else {
                return Ok(None);
            };
            let last: Option<(i32, i64)> = parts::table
                .filter(parts::upload_id.eq(id.to_uuid()))
                .order(parts::number.desc())
                .select((parts::number, parts::end_byte))
                .first(connection)
                .optional()?;
            let (number, end) = last.unwrap_or((0, 0));
            Ok(Some(Ship {
                multipart,
                part_bytes: part_bytes.map(i64::unsigned_abs),
                parts: number.unsigned_abs(),
                shipped: bytes(end)?,
                stored: bytes(stored)?,
            }))
        })
        .await
    }

    /// Notes what S3 calls the unfinished object; `None` if the shipper may not go on,
    /// else the name that counts, which is an earlier one if there was one.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn ship_begin(
        &self,
        shipper: Shipper,
        multipart: String,
    ) -> Result<Option<String>, DbError> {
        self.run("beginning an object in S3", move |connection| {
            let id = shipper.upload().to_uuid();
            if !shipper.lock_in_txn(connection)? {
                return Ok(None);
            }
            diesel::update(uploads::table.find(id).filter(uploads::multipart.is_null()))
                .set(uploads::multipart.eq(multipart))
                .execute(connection)?;
            let row = uploads::table.find(id).select(uploads::multipart);
            row.first(connection)
        })
        .await
    }

    /// Stores the tag of the part that ends at `end` and deletes its bytes here; `false`
    /// if the shipper may not go on, and then nothing changed.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn part_store(
        &self,
        shipper: Shipper,
        number: u32,
        end: ByteCount,
        etag: String,
    ) -> Result<bool, DbError> {
        self.run("storing the tag of a part", move |connection| {
            let id = shipper.upload().to_uuid();
            if !shipper.lock_in_txn(connection)? {
                return Ok(false);
            }
            diesel::insert_into(parts::table)
                .values((
                    parts::upload_id.eq(id),
                    parts::number.eq(i32::try_from(number).unwrap_or(i32::MAX)),
                    parts::end_byte.eq(end.to_i64()),
                    parts::etag.eq(etag),
                ))
                .execute(connection)?;
            // Chunks are cut where parts end, so none reaches beyond.
            let shipped = chunks::table
                .filter(chunks::upload_id.eq(id))
                .filter(chunks::start_byte.lt(end.to_i64()));
            diesel::delete(shipped).execute(connection)?;
            Ok(true)
        })
        .await
    }

    /// The tags of all parts that S3 has, in their order.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn part_list(&self, id: UploadId) -> Result<Vec<String>, DbError> {
        self.run("listing parts", move |connection| {
            parts::table
                .filter(parts::upload_id.eq(id.to_uuid()))
                .order(parts::number)
                .select(parts::etag)
                .load(connection)
        })
        .await
    }

    /// Notes that S3 has the whole object, and deletes what was kept until then; `false`
    /// if the upload has been removed meanwhile.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn ship_end(&self, id: UploadId) -> Result<bool, DbError> {
        self.run("ending an object in S3", move |connection| {
            if !Shipper::Settler(id).lock_in_txn(connection)? {
                return Ok(false);
            }
            let id = id.to_uuid();
            diesel::delete(parts::table.filter(parts::upload_id.eq(id))).execute(connection)?;
            diesel::delete(chunks::table.filter(chunks::upload_id.eq(id))).execute(connection)?;
            diesel::update(uploads::table.find(id))
                .set(uploads::multipart.eq(None::<String>))
                .execute(connection)?;
            Ok(true)
        })
        .await
    }
}
