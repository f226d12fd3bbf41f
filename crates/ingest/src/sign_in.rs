//! Signing in and out: by password, by a link that works once, by a script's token.
//!
//! It never says which of address and password was wrong, and takes as long for
//! an unknown address as for a known one.

use std::time::Duration;

use anyhow::Context;
use secrecy::SecretString;
use slipway_core::{Action, EventKind, Network, Sha256Digest};
use slipway_db::{
    Account, Attempt, AttemptLimits, LinkSeen, NewEvent, NewLink, NewSession, Session,
    SessionLimits, Which,
};
use time::OffsetDateTime;

use crate::accounts::normal;
use crate::password::verifies;
use crate::{AccountError, By, Caller, Denied, Ingest, Token, TokenError};

/// Attempts by password within a quarter of an hour. Ten on one address are more than
/// a person needs who has forgotten theirs, and at 40 an hour a million guesses take
/// three years; fifty from one network leave room for an office behind one address.
const ATTEMPTS: AttemptLimits = AttemptLimits {
    account_max: 10,
    network_max: 50,
    within: Duration::from_secs(15 * 60),
};

/// How long a link works that signs in and no more: it is opened at once.
const LINK_LIFETIME: Duration = Duration::from_secs(30 * 60);

/// How long a link works that sets a password: somebody is told of it, and finds the
/// time within a few days.
const PASSWORD_LINK_LIFETIME: Duration = Duration::from_secs(3 * 24 * 3600);

/// Characters that are kept of what a browser calls itself.
const AGENT_CHARACTERS_MAX: usize = 200;

/// Checked when the address is unknown, so that the answer takes as long. The
/// hash of nothing anybody can type: its salt and output are all zero bits.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Why somebody was not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// No account has this address and password.
    #[error("the e-mail address or the password is wrong")]
    Wrong,
    /// Too many were wrong; none is looked at for a while.
    #[error("too many attempts to sign in; try again in {} minutes", seconds.div_ceil(60))]
    Halted {
        /// How long none is.
        seconds: u64,
    },
    /// The link is unknown, used up or too old.
    #[error("this link was used before or is too old; ask for a new one")]
    SpentLink,
    /// The password that was chosen will not do.
    #[error("{0}")]
    Password(String),
    /// Something broke on our side.
    #[error("signing in failed")]
    Fault(#[from] anyhow::Error),
}

/// The browser that somebody sits at.
#[derive(Debug, Clone)]
pub struct Browser {
    /// What it calls itself.
    pub agent: Option<String>,
    /// Where it is.
    pub network: Network,
}

impl Browser {
    fn event(&self, kind: EventKind, actor: Option<String>) -> NewEvent {
        NewEvent {
            kind,
            actor,
            subject: None,
            network: Some(self.network),
            detail: None,
        }
    }
}

impl Ingest {
    /// Signs a person in by password; the token goes into their cookie.
    ///
    /// # Errors
    /// When the pair is wrong, too many were, or on a fault.
    pub async fn sign_in(
        &self,
        email: &str,
        password: SecretString,
        browser: Browser,
    ) -> Result<Token, SignInError> {
        let email = normal(email);
        let attempt = Attempt {
            email: email.clone(),
            network: browser.network,
        };
        self.require_patience(&attempt, &browser).await?;
        let found = self.db.account_by_email(email.clone()).await;
        let (account, hash) = match found.context("finding the account")? {
            Some((account, hash)) => (Some(account), hash),
            None => (None, None),
        };
        let right = self
            .compute
            .password(move || verifies(&password, hash.as_deref().unwrap_or(NOBODY)))
            .await?;
        let account = account.filter(|account| right && account.disabled_at.is_none());
        let Some(account) = account else {
            let mut event = browser.event(EventKind::SignInFailed, None);
            event.subject = Some(email);
            let recorded = self.db.security_event_add(event).await;
            recorded.context("recording a failed sign-in")?;
            return Err(SignInError::Wrong);
        };
        let forgiven = self.db.sign_in_attempt_forgive(attempt).await;
        forgiven.context("forgetting the attempts")?;
        self.start_session(&account, browser, "by password").await
    }

    async fn require_patience(
        &self,
        attempt: &Attempt,
        browser: &Browser,
    ) -> Result<(), SignInError> {
        let mut event = browser.event(EventKind::SignInHalted, None);
        event.subject = Some(attempt.email.clone());
        let counted = self
            .db
            .sign_in_attempt_count(attempt.clone(), ATTEMPTS, event)
            .await;
        let Some(ends_at) = counted.context("counting the attempt")? else {
            return Ok(());
        };
        let left = ends_at - OffsetDateTime::now_utc();
        Err(SignInError::Halted {
            seconds: left.whole_seconds().unsigned_abs().max(1),
        })
    }

    /// What a link would do; nothing if it no longer works.
    ///
    /// # Errors
    /// On a fault.
    pub async fn link(&self, link: &Token) -> anyhow::Result<Option<LinkSeen>> {
        let seen = self.db.sign_in_link_look(link.digest()).await;
        seen.context("looking at the link")
    }

    /// Signs a person in by a link, which is used up by that. One that sets a password
    /// needs it, and ends whatever signed the account in before.
    ///
    /// # Errors
    /// When the link no longer works, the password will not do, or on a fault.
    pub async fn sign_in_by_link(
        &self,
        link: &Token,
        password: Option<SecretString>,
        browser: Browser,
    ) -> Result<Token, SignInError> {
        // Looked at first: hashing is dear, and anybody can make up a link.
        let seen = self.link(link).await?.ok_or(SignInError::SpentLink)?;
        let hash = match (seen.sets_password, password) {
            (false, _) => None,
            (true, password) => {
                let hashed = self.password_hash(password.unwrap_or_default()).await;
                Some(hashed.map_err(|error| match error {
                    AccountError::Fault(fault) => SignInError::Fault(fault),
                    error => SignInError::Password(error.to_string()),
                })?)
            }
        };
        let event = browser.event(EventKind::SignedIn, None);
        let used = self.db.sign_in_link_use(link.digest(), hash, event).await;
        let account = used.context("using the sign-in link")?;
        let account = account.ok_or(SignInError::SpentLink)?;
        self.start_session(&account, browser, "by a link").await
    }

    async fn start_session(
        &self,
        account: &Account,
        browser: Browser,
        how: &str,
    ) -> Result<Token, SignInError> {
        let token = Token::new("")?;
        let mut event = browser.event(EventKind::SignedIn, Some(account.email.clone()));
        event.detail = Some(how.to_owned());
        let agent = browser.agent.as_deref();
        let session = NewSession {
            token: token.digest(),
            account: account.id,
            agent: agent.map(|agent| agent.chars().take(AGENT_CHARACTERS_MAX).collect()),
            network: Some(browser.network),
        };
        self.db
            .session_start(session, self.session_limits(), event)
            .await
            .context("starting a session")?;
        Ok(token)
    }

    /// Ends the session of a cookie's token.
    ///
    /// # Errors
    /// On a fault.
    pub async fn sign_out(&self, token: &Token, browser: Browser) -> anyhow::Result<()> {
        let event = browser.event(EventKind::SignedOut, None);
        let ended = self.db.session_end(token.digest(), event).await;
        ended.context("ending the session")
    }

    /// The caller's sessions, newest first, and which of them is this one.
    ///
    /// # Errors
    /// When the caller may not see them, or on a fault.
    pub async fn sessions(
        &self,
        caller: &Caller,
        token: &Token,
    ) -> Result<Vec<(Session, bool)>, AccountError> {
        caller.may(Action::AccountSee)?;
        let listed = self.db.session_list(caller.id(), self.session_limits());
        let sessions = listed.await.context("listing sessions")?;
        let this = token.digest();
        Ok(sessions
            .into_iter()
            .map(|session| {
                let is_this = session.id == this;
                (session, is_this)
            })
            .collect())
    }

    /// Ends one of the caller's sessions, or all but the one of `token`.
    ///
    /// # Errors
    /// When the caller may not, or on a fault.
    pub async fn end_sessions(
        &self,
        by: &By,
        token: &Token,
        one: Option<Sha256Digest>,
    ) -> Result<usize, AccountError> {
        by.may(Action::AccountChange)?;
        let By::Caller(caller, _) = by else {
            return Err(Denied::Person.into());
        };
        let which = one.map_or(Which::AllBut(token.digest()), Which::One);
        let event = by.event(EventKind::SessionsEnded, caller.email());
        let ended = self.db.session_revoke(caller.id(), which, event).await;
        Ok(ended.context("ending sessions")?)
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

    /// Makes a link that signs an account in once, or lets whoever has it choose the
    /// account's password first.
    ///
    /// # Errors
    /// When no account that may sign in has the address, whoever asks may not, or on
    /// a fault.
    pub async fn make_link(
        &self,
        by: &By,
        email: &str,
        sets_password: bool,
    ) -> Result<Token, TokenError> {
        by.may(Action::AccountsManage)?;
        let (token, email) = (Token::new("")?, normal(email));
        let mut event = by.event(EventKind::LinkMade, &email);
        event.detail = sets_password.then(|| "sets a password".to_owned());
        let link = NewLink {
            token: token.digest(),
            email: email.clone(),
            lifetime: if sets_password {
                PASSWORD_LINK_LIFETIME
            } else {
                LINK_LIFETIME
            },
            sets_password,
        };
        let made = self.db.sign_in_link_add(link, event).await;
        if made.context("making a sign-in link")? {
            Ok(token)
        } else {
            Err(TokenError::NoAccount(email))
        }
    }

    pub(crate) fn session_limits(&self) -> SessionLimits {
        SessionLimits {
            idle: self.settings.sessions.idle,
            absolute: self.settings.sessions.absolute,
        }
    }
}

#[cfg(test)]
mod tests {
    use argon2::password_hash::phc::PasswordHash;

    use super::*;

    #[test]
    fn nobody_has_no_password_but_takes_the_time_of_one() {
        assert!(
            PasswordHash::new(NOBODY).is_ok(),
            "it must be hashed against, not rejected"
        );
        assert!(!verifies(&SecretString::from(""), NOBODY));
    }
}
