//! API tokens: what scripts may do, and in whose name.
//!
//! It never sees a token, only the SHA-256 of one.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::Bool;
use slipway_core::{AccountId, Scope, Sha256Digest};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::accounts::AccountRow;
use crate::error::word;
use crate::schema::{accounts, api_tokens};
use crate::security_events::record_in_txn;
use crate::{Account, Db, DbError, NewEvent};

/// How stale `used_at` may be: a write per chunk would be a write too many.
const USED_RESOLUTION: Duration = Duration::from_secs(60);

/// A token to be.
#[derive(Debug, Clone)]
pub struct TokenGrant {
    /// The address of the account it acts for.
    pub email: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How long it works.
    pub lifetime: Duration,
}

/// A token as its owner sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiToken {
    /// What it is revoked by.
    pub id: Uuid,
    /// The address of the account it acts for.
    pub email: String,
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// Until when it works.
    pub expires_at: OffsetDateTime,
    /// Last use, to within a minute.
    pub used_at: Option<OffsetDateTime>,
    /// When it was taken back.
    pub revoked_at: Option<OffsetDateTime>,
}

type TokenRow = (
    Uuid,
    String,
    String,
    Vec<String>,
    OffsetDateTime,
    Option<OffsetDateTime>,
    Option<OffsetDateTime>,
);

impl Db {
    /// Grants a token; `false` when no account has the address or it is disabled.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn token_add(
        &self,
        token: Sha256Digest,
        grant: TokenGrant,
        event: NewEvent,
    ) -> Result<bool, DbError> {
        self.run("granting a token", move |connection| {
            let account: Option<Uuid> = accounts::table
                .filter(accounts::email.eq(grant.email))
                .filter(accounts::disabled_at.is_null())
                .select(accounts::id)
                .first(connection)
                .optional()?;
            let Some(account) = account else {
                return Ok(false);
            };
            let scopes: Vec<&str> = grant.scopes.iter().map(|scope| scope.as_str()).collect();
            diesel::insert_into(api_tokens::table)
                .values((
                    api_tokens::id.eq(Uuid::now_v7()),
                    api_tokens::account_id.eq(account),
                    api_tokens::name.eq(grant.name),
                    api_tokens::token_sha256.eq(token.as_bytes().as_slice()),
                    api_tokens::scopes.eq(scopes),
                    api_tokens::expires_at.eq(OffsetDateTime::now_utc() + grant.lifetime),
                ))
                .execute(connection)?;
            record_in_txn(connection, event)?;
            Ok(true)
        })
        .await
    }

    /// Whose token this is and what it may do; nothing when it is unknown,
    /// expired, revoked, or when the account is disabled.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn token_account(
        &self,
        token: Sha256Digest,
    ) -> Result<Option<(Account, Vec<Scope>)>, DbError> {
        self.run_alone("finding a token", move |connection| {
            let now = OffsetDateTime::now_utc();
            let found = api_tokens::table
                .inner_join(accounts::table)
                .filter(api_tokens::token_sha256.eq(token.as_bytes().as_slice()))
                .filter(api_tokens::expires_at.gt(now))
                .filter(api_tokens::revoked_at.is_null())
                .filter(accounts::disabled_at.is_null())
                .select((
                    AccountRow::as_select(),
                    api_tokens::id,
                    api_tokens::scopes,
                    api_tokens::used_at,
                ))
                .first::<(AccountRow, Uuid, Vec<String>, Option<OffsetDateTime>)>(connection)
                .optional()?;
            let Some((row, id, scopes, used_at)) = found else {
                return Ok(None);
            };
            if used_at.is_none_or(|used_at| used_at < now - USED_RESOLUTION) {
                // Alone: a note that is lost is made a minute later.
                diesel::update(api_tokens::table.find(id))
                    .set(api_tokens::used_at.eq(now))
                    .execute(connection)?;
            }
            Ok(Some((row.into_account()?, words(scopes)?)))
        })
        .await
    }

    /// Every token of an account, or of everybody, by account and age.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn token_list(&self, owner: Option<AccountId>) -> Result<Vec<ApiToken>, DbError> {
        self.run("listing tokens", move |connection| {
            let mut listed = api_tokens::table.inner_join(accounts::table).into_boxed();
            if let Some(owner) = owner {
                listed = listed.filter(api_tokens::account_id.eq(owner.to_uuid()));
            }
            listed
                .order((accounts::email, api_tokens::id))
                .select((
                    api_tokens::id,
                    accounts::email,
                    api_tokens::name,
                    api_tokens::scopes,
                    api_tokens::expires_at,
                    api_tokens::used_at,
                    api_tokens::revoked_at,
                ))
                .load::<TokenRow>(connection)?
                .into_iter()
                .map(
                    |(id, email, name, scopes, expires_at, used_at, revoked_at)| {
                        let scopes = words(scopes)?;
                        Ok(ApiToken {
                            id,
                            email,
                            name,
                            scopes,
                            expires_at,
                            used_at,
                            revoked_at,
                        })
                    },
                )
                .collect()
        })
        .await
    }

    /// Takes a token back, of this account if one is named; `false` when there is none,
    /// or it was taken back before.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn token_revoke(
        &self,
        id: Uuid,
        owner: Option<AccountId>,
        event: NewEvent,
    ) -> Result<bool, DbError> {
        self.run("revoking a token", move |connection| {
            let anybodys = owner.is_none();
            let owner = owner.map_or(Uuid::nil(), AccountId::to_uuid);
            let name: Option<String> = diesel::update(
                api_tokens::table
                    .find(id)
                    .filter(api_tokens::revoked_at.is_null())
                    .filter(
                        api_tokens::account_id
                            .eq(owner)
                            .or(anybodys.into_sql::<Bool>()),
                    ),
            )
            .set(api_tokens::revoked_at.eq(OffsetDateTime::now_utc()))
            .returning(api_tokens::name)
            .get_result(connection)
            .optional()?;
            let Some(name) = name else { return Ok(false) };
            let detail = Some(name);
            record_in_txn(connection, NewEvent { detail, ..event })?;
            Ok(true)
        })
        .await
    }
}

fn words(scopes: Vec<String>) -> QueryResult<Vec<Scope>> {
    scopes.iter().map(|scope| word(scope)).collect()
}
