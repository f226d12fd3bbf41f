//! Accounts: adding them, inviting people to them, what they may do, their passwords.
//!
//! It never sees a password longer than it takes to hash it.

use anyhow::{Context, anyhow};
use argon2::Argon2;
use argon2::password_hash::PasswordHasher;
use secrecy::{ExposeSecret, SecretString};
use slipway_core::{AccountId, Action, EventKind, Role};
use slipway_db::{Account, AccountChange, NewAccount};

use crate::password::{PASSWORD_CHARACTERS_MAX, verifies};
use crate::{By, Caller, Denied, Ingest, Token};

/// The fewest characters of a password (OWASP ASVS 5.0, 6.2.1).
const PASSWORD_CHARACTERS_MIN: usize = 8;

/// Why an account was not added or changed.
#[derive(Debug, thiserror::Error)]
pub enum AccountError {
    /// Whoever asks may not.
    #[error(transparent)]
    NotAllowed(#[from] Denied),
    /// The address is not one.
    #[error("{0:?} is not an e-mail address")]
    InvalidEmail(String),
    /// The address has an account.
    #[error("{0} has an account already")]
    Exists(String),
    /// The address has none.
    #[error("no account has the address {0}")]
    Missing(String),
    /// Nobody would be left who may administer.
    #[error("{0} is the only administrator who may sign in; make another one first")]
    LastAdministrator(String),
    /// The password is too short or too long.
    #[error(
        "a password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters, this one has {0}"
    )]
    PasswordLength(usize),
    /// The password that is to be changed is another one.
    #[error("the current password is wrong")]
    WrongPassword,
    /// Something broke on our side.
    #[error("the account could not be changed")]
    Fault(#[from] anyhow::Error),
}

impl Ingest {
    /// Adds an account.
    ///
    /// # Errors
    /// When the address or the password will not do, whoever asks may not, or on a
    /// fault.
    pub async fn add_account(
        &self,
        by: &By,
        email: &str,
        role: Role,
        password: Option<SecretString>,
    ) -> Result<Account, AccountError> {
        by.may(Action::AccountsManage)?;
        let email = normal(email);
        if !is_email(&email) {
            return Err(AccountError::InvalidEmail(email));
        }
        let password_hash = match password {
            Some(password) => Some(self.password_hash(password).await?),
            None => None,
        };
        let new = NewAccount {
            id: AccountId::new(),
            email: email.clone(),
            role,
            password_hash,
        };
        let mut event = by.event(EventKind::AccountAdded, &email);
        event.detail = Some(role.to_string());
        let added = self.db.account_add(new, event).await;
        added
            .context("adding the account")?
            .ok_or(AccountError::Exists(email))
    }

    /// Every account.
    ///
    /// # Errors
    /// When whoever asks may not see them, or on a fault.
    pub async fn accounts(&self, by: &By) -> Result<Vec<Account>, AccountError> {
        by.may(Action::AccountsManage)?;
        Ok(self.db.account_list().await.context("listing accounts")?)
    }

    /// Disables an account, or lets it in again.
    ///
    /// # Errors
    /// When there is none, nobody would be left who may administer, whoever asks may
    /// not, or on a fault.
    pub async fn set_account_disabled(
        &self,
        by: &By,
        email: &str,
        disabled: bool,
    ) -> Result<(), AccountError> {
        by.may(Action::AccountsManage)?;
        let (email, kind) = match disabled {
            true => (normal(email), EventKind::AccountDisabled),
            false => (normal(email), EventKind::AccountEnabled),
        };
        let event = by.event(kind, &email);
        let changed = self
            .db
            .account_set_disabled(email.clone(), disabled, event)
            .await;
        done(changed.context("disabling the account")?, email)
    }

    /// Gives an account another role.
    ///
    /// # Errors
    /// When there is none, nobody would be left who may administer, whoever asks may
    /// not, or on a fault.
    pub async fn set_role(&self, by: &By, email: &str, role: Role) -> Result<(), AccountError> {
        by.may(Action::AccountsManage)?;
        let email = normal(email);
        let mut event = by.event(EventKind::RoleChanged, &email);
        event.detail = Some(role.to_string());
        let changed = self.db.account_set_role(email.clone(), role, event).await;
        done(changed.context("changing the role")?, email)
    }

    /// Gives the caller another password and ends their other sessions. Whoever has
    /// one must know it.
    ///
    /// # Errors
    /// When the current one is wrong, the new one will not do, or on a fault.
    pub async fn change_password(
        &self,
        by: &By,
        session: &Token,
        current: SecretString,
        new: SecretString,
    ) -> Result<(), AccountError> {
        by.may(Action::AccountChange)?;
        let By::Caller(caller, _) = by else {
            return Err(Denied::Person.into());
        };
        if let Some(hash) = self.hash_of(caller).await? {
            let right = self
                .compute
                .password(move || verifies(&current, &hash))
                .await?;
            if !right {
                return Err(AccountError::WrongPassword);
            }
        }
        let hash = self.password_hash(new).await?;
        let event = by.event(EventKind::PasswordSet, caller.email());
        let changed = self
            .db
            .account_set_password(caller.id(), hash, session.digest(), event)
            .await;
        Ok(changed.context("changing the password")?)
    }

    /// Whether the caller has a password at all.
    ///
    /// # Errors
    /// On a fault.
    pub async fn has_password(&self, caller: &Caller) -> anyhow::Result<bool> {
        Ok(self.hash_of(caller).await?.is_some())
    }

    async fn hash_of(&self, caller: &Caller) -> anyhow::Result<Option<String>> {
        let found = self.db.account_by_email(caller.email().to_owned()).await;
        Ok(found
            .context("finding the account")?
            .and_then(|(_, hash)| hash))
    }

    pub(crate) async fn password_hash(
        &self,
        password: SecretString,
    ) -> Result<String, AccountError> {
        let characters = password.expose_secret().chars().count();
        if !(PASSWORD_CHARACTERS_MIN..=PASSWORD_CHARACTERS_MAX).contains(&characters) {
            return Err(AccountError::PasswordLength(characters));
        }
        // The library's defaults are Argon2id with the least that OWASP's
        // password storage page asks for: 19 MiB, two passes.
        let hashed = self
            .compute
            .password(move || {
                Argon2::default()
                    .hash_password(password.expose_secret().as_bytes())
                    .map(|hash| hash.to_string())
            })
            .await?;
        hashed.map_err(|error| AccountError::Fault(anyhow!("hashing a password: {error}")))
    }
}

fn done(change: AccountChange, email: String) -> Result<(), AccountError> {
    match change {
        AccountChange::Done => Ok(()),
        AccountChange::Missing => Err(AccountError::Missing(email)),
        AccountChange::LastAdministrator => Err(AccountError::LastAdministrator(email)),
    }
}

/// An address as it is kept.
pub(crate) fn normal(email: &str) -> String {
    email.trim().to_lowercase()
}

/// Whether mail could be meant: something, one @, something. Whether it arrives
/// only a mail can tell (RFC 5321 section 4.5.3.1.3 for the length).
fn is_email(text: &str) -> bool {
    const CHARACTERS_MAX: usize = 254;
    let sound = text.chars().count() <= CHARACTERS_MAX
        && !text.chars().any(|c| c.is_whitespace() || c.is_control());
    let parts = text.split_once('@');
    sound && parts.is_some_and(|(who, at)| !who.is_empty() && !at.is_empty() && !at.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_something_at_something() {
        for (text, sound) in [
            ("dev@example.com", true),
            ("ünï@example.com", true),
            ("", false),
            ("dev", false),
            ("@example.com", false),
            ("dev@", false),
            ("a@b@c", false),
            ("a b@example.com", false),
        ] {
            assert_eq!(is_email(text), sound, "{text:?}");
        }
    }
}
