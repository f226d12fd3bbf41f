//! The guard, tried from outside: by every trick that has worked on somebody, on two
//! real servers that can be mistaken for each other.

mod adoption;
mod canaries;
mod check;
mod dynos;
mod poolers;
mod probes;
mod tunnels;

use std::process::Output;

use anyhow::{Context, Result};
use secrecy::{ExposeSecret, SecretString};
use slipway_db::testing::{Environment, TestDatabase, skip};
use slipway_tests::{SESSION_SECRET, output_of};

/// What a laptop has, besides a database.
const LAPTOP: [(&str, &str); 2] = [
    ("SLIPWAY_ENV", "development"),
    ("SESSION_SECRET", SESSION_SECRET),
];

/// A database of this laptop, and somebody's production on the other server.
struct Pair {
    own: TestDatabase,
    production: TestDatabase,
}

impl Pair {
    /// Makes both; `None` where the run has no servers that could be mistaken.
    fn make() -> Result<Option<Self>> {
        let own = TestDatabase::create()?;
        let Some(production) = TestDatabase::create_on_other()? else {
            skip("this run has one server only; `cargo xtask test` has two")?;
            return Ok(None);
        };
        if own.door().is_none() || production.door().is_none() {
            skip("this machine has one loopback address only")?;
            return Ok(None);
        }
        own.restamp(Environment::Development, None)?;
        production.restamp(Environment::Production, None)?;
        Ok(Some(Self { own, production }))
    }
}

/// The address of a database by TCP.
fn door(database: &TestDatabase) -> Result<&str> {
    let door: Option<&SecretString> = database.door();
    Ok(door.context("there is no door")?.expose_secret())
}

/// Runs a command as a laptop would, with these variables besides.
fn on_laptop(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Output> {
    let mut environment = LAPTOP.to_vec();
    environment.extend(variables);
    output_of(arguments, &environment)
}

fn stderr_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Has the server note every statement for a database, from now on.
fn watch(database: &TestDatabase) -> Result<()> {
    let name = database.approved().address().database();
    database.execute(&format!("ALTER DATABASE {name} SET log_statement = 'all'"))
}

/// Every statement that the other server has noted for a watched database.
fn statements(database: &TestDatabase) -> Result<Vec<String>> {
    let name = format!(" {} ", database.approved().address().database());
    Ok(TestDatabase::log_of_other()?
        .lines()
        .filter(|line| line.contains(&name))
        .filter_map(|line| {
            let statement = line.split_once("LOG:  ")?.1;
            let (_, sql) = statement.split_once(": ")?;
            (statement.starts_with("statement") || statement.starts_with("execute"))
                .then(|| sql.to_owned())
        })
        .collect())
}

/// Whether a statement does no more than look.
fn only_looks(statement: &str) -> bool {
    let looking = ["SELECT ", "BEGIN", "SET ", "COMMIT", "ROLLBACK"];
    looking.iter().any(|word| statement.starts_with(word))
}
