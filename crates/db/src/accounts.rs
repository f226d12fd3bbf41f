//! Accounts: who may sign in.
//!
//! It never sees a password, only what became of one.

use diesel::prelude::*;
use slipway_core::{AccountId, Role};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::word;
use crate::schema::accounts;
use crate::{Db, DbError};

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
    pub async fn account_add(&self, new: NewAccount) -> Result<Option<Account>, DbError> {
        self.run("adding an account", move |connection| {
            diesel::insert_into(accounts::table)
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
                .optional()?
                .map(AccountRow::into_account)
                .transpose()
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

    /// Ends or resumes an account; ending it ends its sessions too. `false` when
    /// no account has the address.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn account_set_disabled(
        &self,
        email: String,
        disabled: bool,
    ) -> Result<bool, DbError> {
        use crate::schema::sessions;
        self.run("disabling an account", move |connection| {
            let since = disabled.then(OffsetDateTime::now_utc);
            let found: Option<Uuid> =
                diesel::update(accounts::table.filter(accounts::email.eq(email)))
                    .set(accounts::disabled_at.eq(since))
                    .returning(accounts::id)
                    .get_result(connection)
                    .optional()?;
            if let Some(id) = found.filter(|_| disabled) {
                diesel::delete(sessions::table.filter(sessions::account_id.eq(id)))
                    .execute(connection)?;
            }
            Ok(found.is_some())
        })
        .await
    }
}
