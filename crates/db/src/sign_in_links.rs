//! Links that sign an account in once: from the command line, from an administrator,
//! to come back or to choose a first password.
//!
//! It never sees a link's token, only the SHA-256 of one.

use std::time::Duration;

use diesel::prelude::*;
use slipway_core::{AccountId, EventKind, Sha256Digest};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::accounts::AccountRow;
use crate::schema::{accounts, sign_in_links};
use crate::security_events::record_in_txn;
use crate::sessions::{Which, revoke_in_txn};
use crate::{Account, Db, DbError, NewEvent};

/// A link to be.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// The digest of what the link shows.
    pub token: Sha256Digest,
    /// The address of the account that it signs in.
    pub email: String,
    /// How long it works.
    pub lifetime: Duration,
    /// Whether whoever uses it chooses a password first.
    pub sets_password: bool,
}

/// A link that works, before it is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkSeen {
    /// The address of the account that it signs in.
    pub email: String,
    /// Whether whoever uses it chooses a password first.
    pub sets_password: bool,
}

impl Db {
    /// Makes a link that signs the account of an address in once; `false` when
    /// there is no such account or it is disabled.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_link_add(&self, new: NewLink, event: NewEvent) -> Result<bool, DbError> {
        self.run("making a sign-in link", move |connection| {
            let account: Option<Uuid> = accounts::table
                .filter(accounts::email.eq(new.email))
                .filter(accounts::disabled_at.is_null())
                .select(accounts::id)
                .first(connection)
                .optional()?;
            let Some(account) = account else {
                return Ok(false);
            };
            diesel::insert_into(sign_in_links::table)
                .values((
                    sign_in_links::token_sha256.eq(new.token.as_bytes().as_slice()),
                    sign_in_links::account_id.eq(account),
                    sign_in_links::expires_at.eq(OffsetDateTime::now_utc() + new.lifetime),
                    sign_in_links::sets_password.eq(new.sets_password),
                ))
                .execute(connection)?;
            record_in_txn(connection, event)?;
            Ok(true)
        })
        .await
    }

    /// What a link would do; nothing if it no longer works. Looking uses nothing up.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_link_look(
        &self,
        token: Sha256Digest,
    ) -> Result<Option<LinkSeen>, DbError> {
        self.run("looking at a sign-in link", move |connection| {
            let found: Option<(String, bool)> = sign_in_links::table
                .inner_join(accounts::table)
                .filter(sign_in_links::token_sha256.eq(token.as_bytes().as_slice()))
                .filter(sign_in_links::used_at.is_null())
                .filter(sign_in_links::expires_at.gt(OffsetDateTime::now_utc()))
                .filter(accounts::disabled_at.is_null())
                .select((accounts::email, sign_in_links::sets_password))
                .first(connection)
                .optional()?;
            Ok(found.map(|(email, sets_password)| LinkSeen {
                email,
                sets_password,
            }))
        })
        .await
    }

    /// Uses a link up and says whom it signs in; nobody the second time. One that
    /// sets a password needs its hash, any other takes none; with it every session
    /// and every other link of the account ends.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_link_use(
        &self,
        token: Sha256Digest,
        password_hash: Option<String>,
        event: NewEvent,
    ) -> Result<Option<Account>, DbError> {
        self.run("using a sign-in link", move |connection| {
            let now = OffsetDateTime::now_utc();
            // One conditional update: of two requests with one link, one wins.
            let account: Option<Uuid> = diesel::update(
                sign_in_links::table
                    .find(token.as_bytes().as_slice())
                    .filter(sign_in_links::used_at.is_null())
                    .filter(sign_in_links::expires_at.gt(now))
                    .filter(sign_in_links::sets_password.eq(password_hash.is_some())),
            )
            .set(sign_in_links::used_at.eq(now))
            .returning(sign_in_links::account_id)
            .get_result(connection)
            .optional()?;
            let Some(account) = account else {
                return Ok(None);
            };
            let row: Option<AccountRow> = accounts::table
                .find(account)
                .filter(accounts::disabled_at.is_null())
                .select(AccountRow::as_select())
                .first(connection)
                .optional()?;
            let Some(account) = row.map(AccountRow::into_account).transpose()? else {
                return Ok(None);
            };
            if let Some(hash) = password_hash {
                start_anew_in_txn(connection, &account, hash)?;
                let (kind, actor) = (EventKind::PasswordSet, Some(account.email.clone()));
                record_in_txn(
                    connection,
                    NewEvent {
                        kind,
                        actor,
                        ..event
                    },
                )?;
            }
            Ok(Some(account))
        })
        .await
    }
}

/// A new password, and an end to whatever let somebody in before.
fn start_anew_in_txn(
    connection: &mut PgConnection,
    account: &Account,
    password_hash: String,
) -> QueryResult<()> {
    let id: AccountId = account.id;
    diesel::update(accounts::table.find(id.to_uuid()))
        .set(accounts::password_hash.eq(password_hash))
        .execute(connection)?;
    diesel::delete(sign_in_links::table.filter(sign_in_links::account_id.eq(id.to_uuid())))
        .execute(connection)?;
    revoke_in_txn(connection, id, Which::All)?;
    Ok(())
}
