//! Sessions: which browsers are signed in, and as whom.
//!
//! It never sees a token, only the SHA-256 of one; that is also what a session is
//! called by, because it lets nobody in.

use std::time::Duration;

use diesel::prelude::*;
use slipway_core::{AccountId, Network, Sha256Digest};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::accounts::AccountRow;
use crate::error::broken;
use crate::schema::{accounts, sessions, sign_in_links};
use crate::security_events::record_in_txn;
use crate::{Account, Db, DbError, NewEvent};

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

/// A session to be.
#[derive(Debug, Clone)]
pub struct NewSession {
    /// The digest of what the browser will show.
    pub token: Sha256Digest,
    /// Who is signed in.
    pub account: AccountId,
    /// What the browser calls itself.
    pub agent: Option<String>,
    /// Where it is.
    pub network: Option<Network>,
}

/// A session as the person who began it sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// What it is ended by.
    pub id: Sha256Digest,
    /// When the person signed in.
    pub created_at: OffsetDateTime,
    /// Last use, to within a minute.
    pub seen_at: OffsetDateTime,
    /// What the browser calls itself.
    pub agent: Option<String>,
    /// Where the person signed in from.
    pub network: Option<String>,
}

/// Which of an account's sessions.
#[derive(Debug, Clone, Copy)]
pub enum Which {
    /// Every one.
    All,
    /// This one.
    One(Sha256Digest),
    /// Every other one.
    AllBut(Sha256Digest),
}

type SessionRow = (
    Vec<u8>,
    OffsetDateTime,
    OffsetDateTime,
    Option<String>,
    Option<String>,
);

impl Db {
    /// Signs an account in.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_start(
        &self,
        new: NewSession,
        limits: SessionLimits,
        event: NewEvent,
    ) -> Result<(), DbError> {
        self.run("starting a session", move |connection| {
            diesel::insert_into(sessions::table)
                .values((
                    sessions::token_sha256.eq(new.token.as_bytes().as_slice()),
                    sessions::account_id.eq(new.account.to_uuid()),
                    sessions::expires_at.eq(OffsetDateTime::now_utc() + limits.absolute),
                    sessions::agent.eq(new.agent),
                    sessions::network.eq(new.network.map(|network| network.to_string())),
                ))
                .execute(connection)?;
            record_in_txn(connection, event)
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

    /// The sessions of an account that have not ended, newest first.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_list(
        &self,
        account: AccountId,
        limits: SessionLimits,
    ) -> Result<Vec<Session>, DbError> {
        self.run("listing sessions", move |connection| {
            let now = OffsetDateTime::now_utc();
            sessions::table
                .filter(sessions::account_id.eq(account.to_uuid()))
                .filter(sessions::expires_at.gt(now))
                .filter(sessions::seen_at.gt(now - limits.idle))
                .order(sessions::created_at.desc())
                .select((
                    sessions::token_sha256,
                    sessions::created_at,
                    sessions::seen_at,
                    sessions::agent,
                    sessions::network,
                ))
                .load::<SessionRow>(connection)?
                .into_iter()
                .map(|(id, created_at, seen_at, agent, network)| {
                    let id = Sha256Digest::try_from(id.as_slice()).map_err(broken)?;
                    Ok(Session {
                        id,
                        created_at,
                        seen_at,
                        agent,
                        network,
                    })
                })
                .collect()
        })
        .await
    }

    /// Signs out, in the name of whoever was signed in; says nothing if nobody was.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_end(&self, token: Sha256Digest, event: NewEvent) -> Result<(), DbError> {
        self.run("ending a session", move |connection| {
            let account: Option<Uuid> =
                diesel::delete(sessions::table.find(token.as_bytes().as_slice()))
                    .returning(sessions::account_id)
                    .get_result(connection)
                    .optional()?;
            let Some(account) = account else {
                return Ok(());
            };
            let email = accounts::table.find(account).select(accounts::email);
            let actor = email.first(connection).optional()?;
            record_in_txn(connection, NewEvent { actor, ..event })
        })
        .await
    }

    /// Ends sessions of an account; says how many.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn session_revoke(
        &self,
        account: AccountId,
        which: Which,
        event: NewEvent,
    ) -> Result<usize, DbError> {
        self.run("revoking sessions", move |connection| {
            let ended = revoke_in_txn(connection, account, which)?;
            if ended > 0 {
                let detail = Some(format!("{ended} ended"));
                record_in_txn(connection, NewEvent { detail, ..event })?;
            }
            Ok(ended)
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
}

/// Ends sessions of an account; says how many.
pub(crate) fn revoke_in_txn(
    connection: &mut PgConnection,
    account: AccountId,
    which: Which,
) -> QueryResult<usize> {
    let theirs = sessions::table.filter(sessions::account_id.eq(account.to_uuid()));
    match which {
        Which::All => diesel::delete(theirs).execute(connection),
        Which::One(id) => {
            let id = id.as_bytes().to_vec();
            diesel::delete(theirs.filter(sessions::token_sha256.eq(id))).execute(connection)
        }
        Which::AllBut(id) => {
            let id = id.as_bytes().to_vec();
            diesel::delete(theirs.filter(sessions::token_sha256.ne(id))).execute(connection)
        }
    }
}
