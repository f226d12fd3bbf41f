//! Coming in: accounts, passwords, sessions, sign-in links, tokens.
//!
//! It never says which of address and password was wrong, and takes as long for
//! an unknown address as for a known one.

use std::time::Duration;

use anyhow::{Context, anyhow};
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use secrecy::{ExposeSecret, SecretString};
use slipway_core::{AccountId, Role, Scope};
use slipway_db::{Account, ApiToken, NewAccount, SessionLimits, TokenGrant};
use uuid::Uuid;

use crate::{Caller, Ingest, Token};

/// How long a sign-in link works.
const LINK_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// The fewest characters of a password, and the most that are hashed
/// (OWASP ASVS 5.0, 6.2.1 and 6.2.9).
const PASSWORD_CHARACTERS_MIN: usize = 8;
const PASSWORD_CHARACTERS_MAX: usize = 128;

/// The prefix by which people and scanners recognise a token of ours.
const API_TOKEN_PREFIX: &str = "slw_";

/// Checked when the address is unknown, so that the answer takes as long. The
/// hash of nothing anybody can type: its salt and output are all zero bits.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why an account was not added.
#[derive(Debug, thiserror::Error)]
pub enum AddAccountError {
    /// The address is not one.
    #[error("{0:?} is not an e-mail address")]
    InvalidEmail(String),
    /// The address has an account.
    #[error("{0} has an account already")]
    Exists(String),
    /// The password is too short or too long.
    #[error(
        "a password has {PASSWORD_CHARACTERS_MIN} to {PASSWORD_CHARACTERS_MAX} characters, this one has {0}"
    )]
    PasswordLength(usize),
    /// Something broke on our side.
    #[error("the account could not be added")]
    Fault(#[from] anyhow::Error),
}

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No account has this address and password.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
    /// The link is unknown, used up or too old.
    #[error("this link was used before or is too old; ask for a new one")]
    SpentLink,
    /// Something broke on our side.
    #[error("signing in failed")]
    Fault(#[from] anyhow::Error),
}

/// Why a link or a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No account that may sign in has this address.
    #[error("no account that may sign in has the address {0}")]
    NoAccount(String),
    /// Something broke on our side.
    #[error("the token could not be made")]
    Fault(#[from] anyhow::Error),
}

impl Ingest {
    /// Adds an account.
    ///
    /// # Errors
    /// When the address or the password will not do, or on a fault.
    pub async fn add_account(
        &self,
        email: &str,
        role: Role,
        password: Option<SecretString>,
    ) -> Result<Account, AddAccountError> {
        let email = normal(email);
        if !is_email(&email) {
            return Err(AddAccountError::InvalidEmail(email));
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
        let added = self
            .db
            .account_add(new)
            .await
            .context("adding the account")?;
        added.ok_or(AddAccountError::Exists(email))
    }

    async fn password_hash(&self, password: SecretString) -> Result<String, AddAccountError> {
        let characters = password.expose_secret().chars().count();
        if !(PASSWORD_CHARACTERS_MIN..=PASSWORD_CHARACTERS_MAX).contains(&characters) {
            return Err(AddAccountError::PasswordLength(characters));
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
        hashed.map_err(|error| AddAccountError::Fault(anyhow!("hashing a password: {error}")))
    }

    /// Signs a person in by password; the token goes into their cookie.
    ///
    /// # Errors
    /// When the pair is wrong, or on a fault.
    pub async fn sign_in(&self, email: &str, password: SecretString) -> Result<Token, SignInError> {
        let found = self
            .db
            .account_by_email(normal(email))
            .await
            .context("finding the account")?;
        let (account, hash) = match found {
            Some((account, hash)) => (Some(account), hash),
            None => (None, None),
        };
        let right = self
            .compute
            .password(move || verifies(&password, hash.as_deref().unwrap_or(NOBODY)))
            .await?;
        match account {
            Some(account) if right && account.disabled_at.is_none() => {
                self.start_session(account.id).await
            }
            _ => Err(SignInError::Wrong),
        }
    }

    /// Signs a person in by a link, which is used up by that.
    ///
    /// # Errors
    /// When the link no longer works, or on a fault.
    pub async fn sign_in_by_link(&self, link: &Token) -> Result<Token, SignInError> {
        let account = self
            .db
            .sign_in_link_use(link.digest())
            .await
            .context("using the sign-in link")?;
        self.start_session(account.ok_or(SignInError::SpentLink)?.id)
            .await
    }

    async fn start_session(&self, account: AccountId) -> Result<Token, SignInError> {
        let token = Token::new("")?;
        self.db
            .session_start(token.digest(), account, self.session_limits())
            .await
            .context("starting a session")?;
        Ok(token)
    }

    /// Ends the session of a cookie's token.
    ///
    /// # Errors
    /// On a fault.
    pub async fn sign_out(&self, token: &Token) -> anyhow::Result<()> {
        self.db
            .session_end(token.digest())
            .await
            .context("ending the session")
    }

    /// Who is signed in by a cookie's token.
    ///
    /// # Errors
    /// On a fault.
    pub async fn caller_by_session(&self, token: &Token) -> anyhow::Result<Option<Caller>> {
        let account = self
            .db
            .session_account(token.digest(), self.session_limits())
            .await
            .context("finding the session")?;
        Ok(account.map(Caller::person))
    }

    /// Who acts through a script's token.
    ///
    /// # Errors
    /// On a fault.
    pub async fn caller_by_token(&self, token: &Token) -> anyhow::Result<Option<Caller>> {
        let found = self
            .db
            .token_account(token.digest())
            .await
            .context("finding the token")?;
        Ok(found.map(|(account, scopes)| Caller::script(account, scopes)))
    }

    /// Makes a link that signs an account in once.
    ///
    /// # Errors
    /// When no account that may sign in has the address, or on a fault.
    pub async fn make_link(&self, email: &str) -> Result<Token, TokenError> {
        let (token, email) = (Token::new("")?, normal(email));
        let made = self
            .db
            .sign_in_link_add(token.digest(), email.clone(), LINK_LIFETIME)
            .await
            .context("making a sign-in link")?;
        if made {
            Ok(token)
        } else {
            Err(TokenError::NoAccount(email))
        }
    }

    /// Makes a token for scripts.
    ///
    /// # Errors
    /// When no account that may sign in has the address, or on a fault.
    pub async fn make_token(
        &self,
        email: &str,
        name: String,
        scopes: Vec<Scope>,
        lifetime: Duration,
    ) -> Result<Token, TokenError> {
        let (token, email) = (Token::new(API_TOKEN_PREFIX)?, normal(email));
        let grant = TokenGrant {
            email: email.clone(),
            name,
            scopes,
            lifetime,
        };
        let made = self
            .db
            .token_add(token.digest(), grant)
            .await
            .context("making a token")?;
        if made {
            Ok(token)
        } else {
            Err(TokenError::NoAccount(email))
        }
    }

    /// Every account.
    ///
    /// # Errors
    /// On a fault.
    pub async fn accounts(&self) -> anyhow::Result<Vec<Account>> {
        self.db.account_list().await.context("listing accounts")
    }

    /// Ends an account, or lets it in again; `false` when there is none.
    ///
    /// # Errors
    /// On a fault.
    pub async fn set_account_disabled(&self, email: &str, disabled: bool) -> anyhow::Result<bool> {
        self.db
            .account_set_disabled(normal(email), disabled)
            .await
            .context("changing the account")
    }

    /// Every token.
    ///
    /// # Errors
    /// On a fault.
    pub async fn tokens(&self) -> anyhow::Result<Vec<ApiToken>> {
        self.db.token_list().await.context("listing tokens")
    }

    /// Takes a token back; `false` when there was none to take.
    ///
    /// # Errors
    /// On a fault.
    pub async fn revoke_token(&self, id: Uuid) -> anyhow::Result<bool> {
        self.db.token_revoke(id).await.context("revoking the token")
    }

    pub(crate) fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            idle: self.settings.sessions.idle,
            absolute: self.settings.sessions.absolute,
        }
    }
}

fn verifies(password: &SecretString, hash: &str) -> bool {
    let password = password.expose_secret();
    // Longer ones are hashed nowhere, so they cannot be anybody's.
    password.chars().count() <= PASSWORD_CHARACTERS_MAX
        && PasswordHash::new(hash).is_ok_and(|hash| {
            Argon2::default()
                .verify_password(password.as_bytes(), &hash)
                .is_ok()
        })
}

fn normal(email: &str) -> String {
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

    #[test]
    fn nobody_has_no_password_but_takes_the_time_of_one() {
        assert!(
            PasswordHash::new(NOBODY).is_ok(),
            "it must be hashed against, not rejected"
        );
        assert!(!verifies(&SecretString::from(""), NOBODY));
    }
}
