//! Sessions and sign-in links: who is signed in, and how somebody came to be.
//!
//! It never sees a token, only the SHA-256 of one.

use std::time::Duration;

use diesel::prelude::*;
use slipway_core::{AccountId, Sha256Digest};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::accounts::AccountRow;
use crate::schema::{accounts, sessions, sign_in_links};
use crate::{Account, Db, DbError};

/// How stale `seen_at` may be: a write per page view would be a write too many.
const SEEN_RESOLUTION: Duration = Duration::from_secs(60);

/// How long sessions last.
#[derive(Debug, Clone, Copy)]
pub struct SessionLimits {
    /// Unused for so long, a session ends.
    pub idle: Duration,
    /// However used, a session ends.
    pub absolute: Duration,
}

impl Db {
    /// Signs an account in.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_start(
        &self,
        token: Sha256Digest,
        account: AccountId,
        limits: SessionLimits,
    ) -> Result<(), DbError> {
        self.run("starting a session", move |connection| {
            diesel::insert_into(sessions::table)
                .values((
                    sessions::token_sha256.eq(token.as_bytes().as_slice()),
                    sessions::account_id.eq(account.to_uuid()),
                    sessions::expires_at.eq(OffsetDateTime::now_utc() + limits.absolute),
                ))
                .execute(connection)
                .map(drop)
        })
        .await
    }

    /// Who is signed in by this token: nobody when it is unknown, was unused for
    /// too long, is too old, or when the account is disabled.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_account(
        &self,
        token: Sha256Digest,
        limits: SessionLimits,
    ) -> Result<Option<Account>, DbError> {
        self.run_alone("finding a session", move |connection| {
            let now = OffsetDateTime::now_utc();
            let found = sessions::table
                .inner_join(accounts::table)
                .filter(sessions::token_sha256.eq(token.as_bytes().as_slice()))
                .filter(sessions::expires_at.gt(now))
                .filter(sessions::seen_at.gt(now - limits.idle))
                .filter(accounts::disabled_at.is_null())
                .select((AccountRow::as_select(), sessions::seen_at))
                .first::<(AccountRow, OffsetDateTime)>(connection)
                .optional()?;
            let Some((row, seen_at)) = found else {
                return Ok(None);
            };
            if seen_at < now - SEEN_RESOLUTION {
                diesel::update(sessions::table.find(token.as_bytes().as_slice()))
                    .set(sessions::seen_at.eq(now))
                    .execute(connection)?;
            }
            row.into_account().map(Some)
        })
        .await
    }

    /// Signs out; says nothing if nobody was signed in.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_end(&self, token: Sha256Digest) -> Result<(), DbError> {
        self.run("ending a session", move |connection| {
            diesel::delete(sessions::table.find(token.as_bytes().as_slice()))
                .execute(connection)
                .map(drop)
        })
        .await
    }

    /// Forgets sessions and links that no longer work; says how many went.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_sweep(&self, limits: SessionLimits) -> Result<usize, DbError> {
        self.run("sweeping sessions", move |connection| {
            let now = OffsetDateTime::now_utc();
            let ended = sessions::expires_at
                .le(now)
                .or(sessions::seen_at.le(now - limits.idle));
            let sessions = diesel::delete(sessions::table.filter(ended)).execute(connection)?;
            let links =
                diesel::delete(sign_in_links::table.filter(sign_in_links::expires_at.le(now)))
                    .execute(connection)?;
            Ok(sessions + links)
        })
        .await
    }

    /// Makes a link that signs the account of an address in once; `false` when
    /// there is no such account or it is disabled.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_link_add(
        &self,
        token: Sha256Digest,
        email: String,
        lifetime: Duration,
    ) -> Result<bool, DbError> {
        self.run("making a sign-in link", move |connection| {
            let account: Option<Uuid> = accounts::table
                .filter(accounts::email.eq(email))
                .filter(accounts::disabled_at.is_null())
                .select(accounts::id)
                .first(connection)
                .optional()?;
            let Some(account) = account else {
                return Ok(false);
            };
            diesel::insert_into(sign_in_links::table)
                .values((
                    sign_in_links::token_sha256.eq(token.as_bytes().as_slice()),
                    sign_in_links::account_id.eq(account),
                    sign_in_links::expires_at.eq(OffsetDateTime::now_utc() + lifetime),
                ))
                .execute(connection)?;
            Ok(true)
        })
        .await
    }

    /// Uses a link up and says whom it signs in; nobody the second time.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_link_use(&self, token: Sha256Digest) -> Result<Option<Account>, DbError> {
        self.run("using a sign-in link", move |connection| {
            let now = OffsetDateTime::now_utc();
            // One conditional update: of two requests with one link, one wins.
            let account: Option<Uuid> = diesel::update(
                sign_in_links::table
                    .find(token.as_bytes().as_slice())
                    .filter(sign_in_links::used_at.is_null())
                    .filter(sign_in_links::expires_at.gt(now)),
            )
            .set(sign_in_links::used_at.eq(now))
            .returning(sign_in_links::account_id)
            .get_result(connection)
            .optional()?;
            let Some(account) = account else {
                return Ok(None);
            };
            accounts::table
                .find(account)
                .filter(accounts::disabled_at.is_null())
                .select(AccountRow::as_select())
                .first(connection)
                .optional()?
                .map(AccountRow::into_account)
                .transpose()
        })
        .await
    }
}
