//! API tokens: what scripts may do, and in whose name.
//!
//! It never shows a token twice.

use std::time::Duration;

use anyhow::Context;
use slipway_core::{Action, EventKind, Scope};
use slipway_db::{ApiToken, TokenGrant};
use uuid::Uuid;

use crate::accounts::normal;
use crate::{By, Caller, Denied, Ingest, Token};

/// The prefix by which people and scanners recognise a token of ours.
const API_TOKEN_PREFIX: &str = "slw_";

/// Characters of a token's name (as the database has it).
const NAME_CHARACTERS: std::ops::RangeInclusive<usize> = 1..=100;

/// The longest a token works: a forgotten one must end.
const LIFETIME_MAX: Duration = Duration::from_secs(366 * 24 * 3600);

/// Why a link or a token was not made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// Whoever asks may not.
    #[error(transparent)]
    NotAllowed(#[from] Denied),
    /// No account that may sign in has this address.
    #[error("no account that may sign in has the address {0}")]
    NoAccount(String),
    /// What was asked for is no token.
    #[error("{0}")]
    Unsound(&'static str),
    /// Something broke on our side.
    #[error("the token could not be made")]
    Fault(#[from] anyhow::Error),
}

/// A token to be.
#[derive(Debug, Clone)]
pub struct NewToken {
    /// What it is for.
    pub name: String,
    /// What it may do.
    pub scopes: Vec<Scope>,
    /// How long it works.
    pub lifetime: Duration,
}

impl NewToken {
    fn check(&self) -> Result<(), TokenError> {
        let unsound = |why| Err(TokenError::Unsound(why));
        if !NAME_CHARACTERS.contains(&self.name.chars().count()) {
            return unsound("the name of a token has 1 to 100 characters");
        }
        if self.scopes.is_empty() {
            return unsound("a token needs a scope: upload, read or admin");
        }
        if self.lifetime.is_zero() || self.lifetime > LIFETIME_MAX {
            return unsound("a token works for 1 to 366 days");
        }
        Ok(())
    }
}

impl Ingest {
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

    /// Makes a token for scripts of an account; people make them for their own.
    ///
    /// # Errors
    /// When it will not do, no account that may sign in has the address, whoever asks
    /// may not, or on a fault.
    pub async fn make_token(
        &self,
        by: &By,
        email: &str,
        new: NewToken,
    ) -> Result<Token, TokenError> {
        by.may(Action::AccountChange)?;
        if let By::Caller(caller, _) = by {
            if caller.email() != normal(email) {
                return Err(TokenError::NoAccount(email.to_owned()));
            }
            // It would lie idle until the day its owner is made an administrator.
            if new.scopes.contains(&Scope::Admin) {
                caller.may(Action::AccountsManage)?;
            }
        }
        new.check()?;
        let (token, email) = (Token::new(API_TOKEN_PREFIX)?, normal(email));
        let scopes: Vec<&str> = new.scopes.iter().map(|scope| scope.as_str()).collect();
        let mut event = by.event(EventKind::TokenMade, &email);
        event.detail = Some(format!("{}: {}", new.name, scopes.join(", ")));
        let grant = TokenGrant {
            email: email.clone(),
            name: new.name,
            scopes: new.scopes,
            lifetime: new.lifetime,
        };
        let made = self.db.token_add(token.digest(), grant, event).await;
        if made.context("making a token")? {
            Ok(token)
        } else {
            Err(TokenError::NoAccount(email))
        }
    }

    /// Every token that whoever asks may take back: people see their own.
    ///
    /// # Errors
    /// When they may see none, or on a fault.
    pub async fn tokens(&self, by: &By) -> Result<Vec<ApiToken>, TokenError> {
        by.may(Action::AccountSee)?;
        let listed = self.db.token_list(owner(by)).await;
        Ok(listed.context("listing tokens")?)
    }

    /// Takes a token back; `false` when there was none to take.
    ///
    /// # Errors
    /// When whoever asks may take none, or on a fault.
    pub async fn revoke_token(&self, by: &By, id: Uuid) -> Result<bool, TokenError> {
        by.may(Action::AccountChange)?;
        let event = by.event(EventKind::TokenRevoked, id.to_string());
        let revoked = self.db.token_revoke(id, owner(by), event).await;
        Ok(revoked.context("revoking the token")?)
    }
}

/// Whose tokens somebody sees and takes back; at the command line everybody's.
fn owner(by: &By) -> Option<slipway_core::AccountId> {
    match by {
        By::Caller(caller, _) => Some(caller.id()),
        By::CommandLine | By::KeyHolder(_) => None,
    }
}
