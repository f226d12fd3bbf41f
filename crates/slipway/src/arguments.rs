//! The command line.
//!
//! It only names what can be asked; nothing happens here.

use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use slipway_config::{Access, Environment, UnknownEnvironment};
use slipway_core::{Role, Scope};
use uuid::Uuid;

/// Resumable uploads with live progress and durable jobs.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, about, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What can be run.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve the web, and work the jobs unless `jobs.inline` is off.
    Serve,
    /// Work the jobs.
    Work,
    /// Bring the schema of the database up to date.
    Migrate {
        /// List what would run, and change nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Say whether this process could do its work here, and what to mend if not.
    Check {
        /// Print JSON.
        #[arg(long)]
        json: bool,
    },
    /// See what the database says that it is, or make it one's own.
    Db {
        #[command(subcommand)]
        action: DbAction,
    },
    /// Look at the configuration.
    Config {
        #[command(subcommand)]
        action: ConfigAction,
    },
    /// Add, list, disable and let in accounts.
    Account {
        #[command(subcommand)]
        action: AccountAction,
    },
    /// Print every route of the web process, and who may use it.
    Routes,
    /// Make, list and take back tokens for scripts.
    Token {
        #[command(subcommand)]
        action: TokenAction,
    },
}

/// What can be done with a database as a whole.
#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum DbAction {
    /// Print the stamp, and what the guard makes of it.
    Stamp,
    /// Make a restored or moved database one's own, after typing what it is.
    Adopt {
        /// What it is to be: the environment of this process.
        #[arg(long = "as", value_name = "ENVIRONMENT", value_parser = environment)]
        environment: Environment,
    },
}

fn environment(text: &str) -> Result<Environment, String> {
    text.parse().map_err(|UnknownEnvironment| {
        let words = Environment::ALL.map(Environment::as_str);
        format!("it is one of {}", words.join(", "))
    })
}

/// What can be done with the configuration.
#[derive(Debug, Subcommand)]
pub(crate) enum ConfigAction {
    /// Print each key with its value, where it comes from, and what it wins over.
    Explain(ExplainArguments),
}

/// How the configuration is explained.
#[derive(Debug, Args)]
pub(crate) struct ExplainArguments {
    /// Print JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// Print why the environment is what it is, instead of the keys.
    #[arg(long)]
    pub(crate) why_environment: bool,
}

/// What can be done with accounts.
#[derive(Debug, Subcommand)]
pub(crate) enum AccountAction {
    /// Add an account. It signs in by links until it has a password.
    Add {
        /// Its e-mail address.
        email: String,
        /// What it may do: member or administrator.
        #[arg(long, default_value = "member")]
        role: Role,
        /// Read a password from standard input.
        #[arg(long)]
        password_stdin: bool,
        /// Do nothing if the address has an account already.
        #[arg(long)]
        if_missing: bool,
    },
    /// List all accounts.
    List,
    /// End an account: its sessions end, its links and tokens stop working.
    Disable {
        /// Its e-mail address.
        email: String,
        /// Let it in again instead.
        #[arg(long)]
        undo: bool,
    },
    /// Print a link, to be appended to the address of the site, that signs in once.
    Link {
        /// The account's e-mail address.
        email: String,
        /// Whoever follows it chooses a password first: an invitation, or one forgotten.
        /// It works for three days.
        #[arg(long)]
        password: bool,
    },
    /// Give an account another role.
    Role {
        /// Its e-mail address.
        email: String,
        /// What it may do: member or administrator.
        role: Role,
    },
}

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum TokenAction {
    /// Make a token and print it, this once.
    Create {
        /// The e-mail address of the account it acts for.
        #[arg(long)]
        account: String,
        /// What it may do: upload, read, admin; several with commas.
        #[arg(long, value_delimiter = ',', required = true)]
        scope: Vec<Scope>,
        /// How long it works: a number and s, m, h or d.
        #[arg(long, value_parser = lifetime, default_value = "90d")]
        expires: Duration,
        /// What it is for.
        #[arg(long, default_value = "command line")]
        name: String,
    },
    /// List all tokens.
    List,
    /// Take a token back.
    Revoke {
        /// Its id, as listed.
        id: Uuid,
    },
}

impl AccountAction {
    /// What it does to the database.
    pub(crate) fn access(&self) -> Access {
        match self {
            Self::List => Access::Read,
            Self::Add { .. } | Self::Disable { .. } | Self::Link { .. } | Self::Role { .. } => {
                Access::Write
            }
        }
    }
}

impl TokenAction {
    /// What it does to the database.
    pub(crate) fn access(&self) -> Access {
        match self {
            Self::List => Access::Read,
            Self::Create { .. } | Self::Revoke { .. } => Access::Write,
        }
    }
}

/// The longest a token works, in days: a forgotten one must end.
const LIFETIME_DAYS_MAX: u64 = 366;

fn lifetime(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("{text:?} is not a time; write a number and s, m, h or d, such as 12h");
    let (number, unit) = text.split_at(text.len() - text.chars().last().map_or(0, char::len_utf8));
    let number: u64 = number.parse().or(Err(expected()))?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 24 * 3600,
        _ => return Err(expected()),
    };
    match number.checked_mul(seconds) {
        Some(0) => Err("a token that works for no time is no use".to_owned()),
        Some(seconds) if seconds <= LIFETIME_DAYS_MAX * 24 * 3600 => {
            Ok(Duration::from_secs(seconds))
        }
        _ => Err(format!(
            "a token works for {LIFETIME_DAYS_MAX} days at most"
        )),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn times_are_a_number_and_a_unit() {
        assert_eq!(lifetime("1d"), Ok(Duration::from_secs(86_400)));
        assert_eq!(lifetime("90m"), Ok(Duration::from_secs(5_400)));
        for text in [
            "",
            "d",
            "1",
            "1w",
            "-1d",
            "0s",
            "367d",
            "99999999999999999999d",
            "1é",
        ] {
            assert!(lifetime(text).is_err(), "{text:?}");
        }
    }
}
