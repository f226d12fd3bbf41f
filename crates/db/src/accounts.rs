//! Accounts: who may sign in.
//!
//! It never sees a password, only what became of one.

use diesel::prelude::*;
use slipway_core::{AccountId, Role, Sha256Digest};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::word;
use crate::schema::accounts;
use crate::security_events::record_in_txn;
use crate::sessions::{Which, revoke_in_txn};
use crate::{Db, DbError, NewEvent};

/// Somebody who may sign in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Which account.
    pub id: AccountId,
    /// In lower case.
    pub email: String,
    /// What it may do beyond its own files.
    pub role: Role,
    /// Since when nothing may be done in its name.
    pub disabled_at: Option<OffsetDateTime>,
    /// When it was added.
    pub created_at: OffsetDateTime,
}

/// An account to be.
#[derive(Debug, Clone)]
pub struct NewAccount {
    /// Which account.
    pub id: AccountId,
    /// In lower case.
    pub email: String,
    /// What it may do beyond its own files.
    pub role: Role,
    /// Argon2id in PHC form; none while only links sign it in.
    pub password_hash: Option<String>,
}

/// What came of a change to an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccountChange {
    /// It was made.
    Done,
    /// No account has the address.
    Missing,
    /// Nobody would be left who may administer.
    LastAdministrator,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = accounts, check_for_backend(diesel::pg::Pg))]
pub(crate) struct AccountRow {
    id: Uuid,
    email: String,
    role: String,
    disabled_at: Option<OffsetDateTime>,
    created_at: OffsetDateTime,
}

impl AccountRow {
    pub(crate) fn into_account(self) -> QueryResult<Account> {
        Ok(Account {
            id: AccountId::from_uuid(self.id),
            email: self.email,
            role: word(&self.role)?,
            disabled_at: self.disabled_at,
            created_at: self.created_at,
        })
    }
}

impl Db {
    /// Adds an account; `None` when the address has one already.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn account_add(
        &self,
        new: NewAccount,
        event: NewEvent,
    ) -> Result<Option<Account>, DbError> {
        self.run("adding an account", move |connection| {
            let added: Option<AccountRow> = diesel::insert_into(accounts::table)
                .values((
                    accounts::id.eq(new.id.to_uuid()),
                    accounts::email.eq(new.email),
                    accounts::role.eq(new.role.as_str()),
                    accounts::password_hash.eq(new.password_hash),
                ))
                .on_conflict(accounts::email)
                .do_nothing()
                .returning(AccountRow::as_returning())
                .get_result(connection)
                .optional()?;
            let Some(added) = added else { return Ok(None) };
            record_in_txn(connection, event)?;
            added.into_account().map(Some)
        })
        .await
    }

    /// The account of an address, with what its password is checked against.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn account_by_email(
        &self,
        email: String,
    ) -> Result<Option<(Account, Option<String>)>, DbError> {
        self.run("finding an account", move |connection| {
            accounts::table
                .filter(accounts::email.eq(email))
                .select((AccountRow::as_select(), accounts::password_hash))
                .first::<(AccountRow, Option<String>)>(connection)
                .optional()?
                .map(|(row, hash)| Ok((row.into_account()?, hash)))
                .transpose()
        })
        .await
    }

    /// Every account, by address.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn account_list(&self) -> Result<Vec<Account>, DbError> {
        self.run("listing accounts", |connection| {
            accounts::table
                .order(accounts::email)
                .select(AccountRow::as_select())
                .load(connection)?
                .into_iter()
                .map(AccountRow::into_account)
                .collect()
        })
        .await
    }

    /// Disables an account, which ends its sessions, or lets it in again.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn account_set_disabled(
        &self,
        email: String,
        disabled: bool,
        event: NewEvent,
    ) -> Result<AccountChange, DbError> {
        self.run("disabling an account", move |connection| {
            let account = match changeable_in_txn(connection, &email, disabled)? {
                Ok(account) => account,
                Err(why) => return Ok(why),
            };
            let since = disabled.then(OffsetDateTime::now_utc);
            diesel::update(accounts::table.find(account.id.to_uuid()))
                .set(accounts::disabled_at.eq(since))
                .execute(connection)?;
            if disabled {
                revoke_in_txn(connection, account.id, Which::All)?;
            }
            record_in_txn(connection, event)?;
            Ok(AccountChange::Done)
        })
        .await
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn account_set_role(
        &self,
        email: String,
        role: Role,
        event: NewEvent,
    ) -> Result<AccountChange, DbError> {
        self.run("changing a role", move |connection| {
            let lessens = role != Role::Administrator;
            let account = match changeable_in_txn(connection, &email, lessens)? {
                Ok(account) => account,
                Err(why) => return Ok(why),
            };
            diesel::update(accounts::table.find(account.id.to_uuid()))
                .set(accounts::role.eq(role.as_str()))
                .execute(connection)?;
            record_in_txn(connection, event)?;
            Ok(AccountChange::Done)
        })
        .await
    }

    /// Gives an account another password and ends its other sessions.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn account_set_password(
        &self,
        id: AccountId,
        password_hash: String,
        session: Sha256Digest,
        event: NewEvent,
    ) -> Result<(), DbError> {
        self.run("changing a password", move |connection| {
            diesel::update(accounts::table.find(id.to_uuid()))
                .set(accounts::password_hash.eq(password_hash))
                .execute(connection)?;
            revoke_in_txn(connection, id, Which::AllBut(session))?;
            record_in_txn(connection, event)
        })
        .await
    }
}

/// The account of an address, held until the end of the transaction; or why it may not
/// be changed. One that `lessens` who may administer needs somebody else who may: all
/// administrators are held, so that two cannot take the right from each other at once.
fn changeable_in_txn(
    connection: &mut PgConnection,
    email: &str,
    lessens: bool,
) -> QueryResult<Result<Account, AccountChange>> {
    let administrators: Vec<String> = accounts::table
        .filter(accounts::role.eq(Role::Administrator.as_str()))
        .filter(accounts::disabled_at.is_null())
        .order(accounts::id)
        .for_update()
        .select(accounts::email)
        .load(connection)?;
    let row: Option<AccountRow> = accounts::table
        .filter(accounts::email.eq(email))
        .for_update()
        .select(AccountRow::as_select())
        .first(connection)
        .optional()?;
    let Some(row) = row else {
        return Ok(Err(AccountChange::Missing));
    };
    if lessens && administrators == [email] {
        return Ok(Err(AccountChange::LastAdministrator));
    }
    row.into_account().map(Ok)
}
