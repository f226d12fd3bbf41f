//! `slipway account` and `slipway token`.
//!
//! What a script reads, a link or a token, stands alone on standard output;
//! everything else goes to the log.

use std::io::Write;

use anyhow::Context;
use secrecy::SecretString;
use slipway_ingest::{AccountError, ApiToken, By, Ingest, NewToken};
use time::OffsetDateTime;
use time::macros::format_description;

use crate::arguments::{AccountAction, TokenAction};
use crate::open::Opened;

/// Longest line that is read as a password.
const PASSWORD_BYTES_MAX: u64 = 1024;

/// Runs `slipway account ...`.
pub(crate) async fn account(opened: &Opened, action: AccountAction) -> anyhow::Result<()> {
    let (_, ingest) = opened.ingest().context("starting the database threads")?;
    match action {
        AccountAction::Add {
            email,
            role,
            password_stdin,
            if_missing,
        } => {
            let password = if password_stdin {
                Some(password_from_stdin()?)
            } else {
                None
            };
            match ingest
                .add_account(&By::CommandLine, &email, role, password)
                .await
            {
                Ok(account) => tracing::info!("added {} as {role}", account.email),
                Err(AccountError::Exists(email)) if if_missing => {
                    tracing::info!("{email} has an account already");
                }
                Err(error) => return Err(error.into()),
            }
            Ok(())
        }
        AccountAction::List => list_accounts(&ingest).await,
        AccountAction::Disable { email, undo } => {
            ingest
                .set_account_disabled(&By::CommandLine, &email, !undo)
                .await?;
            tracing::info!(
                "{email} {}",
                if undo {
                    "may sign in again"
                } else {
                    "is disabled"
                }
            );
            Ok(())
        }
        AccountAction::Role { email, role } => {
            ingest.set_role(&By::CommandLine, &email, role).await?;
            tracing::info!("{email} is {role} now");
            Ok(())
        }
        AccountAction::Link { email, password } => {
            let link = ingest.make_link(&By::CommandLine, &email, password).await?;
            say(&format!("/sign-in?link={}", link.expose()))
        }
    }
}

/// Runs `slipway token ...`.
pub(crate) async fn token(opened: &Opened, action: TokenAction) -> anyhow::Result<()> {
    let (_, ingest) = opened.ingest().context("starting the database threads")?;
    match action {
        TokenAction::Create {
            account,
            scope,
            expires,
            name,
        } => {
            let new = NewToken {
                name,
                scopes: scope,
                lifetime: expires,
            };
            let token = ingest.make_token(&By::CommandLine, &account, new).await?;
            say(token.expose())
        }
        TokenAction::List => list_tokens(&ingest).await,
        TokenAction::Revoke { id } => {
            anyhow::ensure!(
                ingest.revoke_token(&By::CommandLine, id).await?,
                "there is no token {id} to revoke"
            );
            tracing::info!("revoked token {id}");
            Ok(())
        }
    }
}

async fn list_accounts(ingest: &Ingest) -> anyhow::Result<()> {
    for account in ingest.accounts(&By::CommandLine).await? {
        let state = account.disabled_at.map_or("active", |_| "disabled");
        say(&format!(
            "{}\t{}\t{state}\t{}",
            account.email,
            account.role,
            day(account.created_at)
        ))?;
    }
    Ok(())
}

async fn list_tokens(ingest: &Ingest) -> anyhow::Result<()> {
    for token in ingest.tokens(&By::CommandLine).await? {
        let ApiToken {
            id,
            email,
            name,
            scopes,
            expires_at,
            ..
        } = token;
        let scopes: Vec<&str> = scopes.iter().map(|scope| scope.as_str()).collect();
        let state = match (token.revoked_at, expires_at <= OffsetDateTime::now_utc()) {
            (Some(_), _) => "revoked",
            (None, true) => "expired",
            (None, false) => "active",
        };
        let used = token.used_at.map_or_else(|| "never".to_owned(), day);
        say(&format!(
            "{id}\t{email}\t{name}\t{}\t{state}\t{}\t{used}",
            scopes.join(","),
            day(expires_at)
        ))?;
    }
    Ok(())
}

fn day(at: OffsetDateTime) -> String {
    at.format(format_description!("[year]-[month]-[day]"))
        .unwrap_or_default()
}

fn password_from_stdin() -> anyhow::Result<SecretString> {
    use std::io::{BufRead, Read};
    let mut line = String::new();
    std::io::stdin()
        .lock()
        .take(PASSWORD_BYTES_MAX)
        .read_line(&mut line)
        .context("reading a password from standard input")?;
    Ok(SecretString::from(line.trim_end_matches(['\r', '\n'])))
}

fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{line}").context("writing to standard output")
}
