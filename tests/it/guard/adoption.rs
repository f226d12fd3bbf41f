//! A dump of production, restored on a laptop: refused, then adopted by somebody who
//! types what it is.

use std::io::Write;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, ensure};
use secrecy::ExposeSecret;
use slipway_db::testing::{Environment, TestDatabase, skip};
use slipway_tests::{Site, ask_to_go, interactively};

use super::{LAPTOP, on_laptop, stderr_of};

/// Copies what is in one database into an empty other one, as people do.
fn restored(from: &TestDatabase, into: &TestDatabase) -> Result<bool> {
    let Ok(dump) = Command::new("pg_dump")
        .args(["--no-owner", "--dbname", from.url().expose_secret()])
        .output()
    else {
        skip("there is no pg_dump on this machine")?;
        return Ok(false);
    };
    let told = String::from_utf8_lossy(&dump.stderr);
    if told.contains("server version mismatch") {
        skip("pg_dump on this machine is older than the server")?;
        return Ok(false);
    }
    ensure!(
        dump.status.success(),
        "{}",
        String::from_utf8_lossy(&dump.stderr)
    );
    let mut restore = Command::new("psql")
        .args([
            "--quiet",
            "--set",
            "ON_ERROR_STOP=1",
            "--dbname",
            into.url().expose_secret(),
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()?;
    let mut stdin = restore.stdin.take().context("psql has no standard input")?;
    stdin.write_all(&dump.stdout)?;
    drop(stdin);
    ensure!(restore.wait()?.success(), "the dump could not be restored");
    Ok(true)
}

/// A server's database with an account, a session's worth of secrets in it, and a stamp
/// that says production.
fn production() -> Result<TestDatabase> {
    let site = Site::start()?;
    site.who("ada@example.com", "administrator")?;
    site.slipway(&["account", "link", "ada@example.com"])?;
    let database = site.into_database()?;
    database.restamp(Environment::Production, None)?;
    Ok(database)
}

fn counted(database: &TestDatabase, table: &str) -> Result<String> {
    let rows = database.query(&format!("SELECT count(*)::text AS value FROM {table}"))?;
    rows.into_iter().next().context("a count has a row")
}

fn adopt(url: &str, typed: &str) -> Result<Option<Output>> {
    let mut environment = LAPTOP.to_vec();
    environment.push(("DATABASE_URL", url));
    interactively(&["db", "adopt", "--as", "development"], &environment, typed)
}

/// What a command that is refused tells the person to type.
fn phrase(url: &str) -> Result<String> {
    let output = on_laptop(&["migrate"], &[("DATABASE_URL", url)])?;
    let told = stderr_of(&output);
    let (_, phrase) = told
        .trim_end()
        .rsplit_once("and type ")
        .with_context(|| told.clone())?;
    Ok(phrase.to_owned())
}

#[test]
fn a_restored_dump_is_refused_until_somebody_types_what_it_is() -> Result<()> {
    let production = production()?;
    let Some(copy) = TestDatabase::create_empty_on_other()? else {
        skip("this run has one server only")?;
        return Ok(());
    };
    if !restored(&production, &copy)? {
        return Ok(());
    }
    let url = copy.url().expose_secret();

    for arguments in [&["serve"][..], &["account", "list"], &["migrate"]] {
        let refused = on_laptop(arguments, &[("DATABASE_URL", url), ("PORT", "0")])?;
        let told = stderr_of(&refused);
        assert_eq!(refused.status.code(), Some(2), "{told}");
        assert!(
            told.contains("rule B10:") && told.contains("db adopt --as development"),
            "{told}"
        );
    }
    let piped = on_laptop(
        &["db", "adopt", "--as", "development"],
        &[("DATABASE_URL", url)],
    )?;
    assert_eq!(piped.status.code(), Some(2));
    assert!(
        stderr_of(&piped).contains("typed by a person"),
        "{}",
        stderr_of(&piped)
    );
    let Some(careless) = adopt(url, "yes\n")? else {
        skip("there is no `script` to make a terminal with")?;
        return Ok(());
    };
    assert_eq!(careless.status.code(), Some(2), "{careless:?}");
    assert_eq!(counted(&copy, "api_tokens")?, "1");

    let phrase = phrase(url)?;
    let adopted = adopt(url, &format!("{phrase}\n"))?.context("there was a terminal before")?;

    assert_eq!(
        adopted.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&adopted.stdout)
    );
    for (table, left) in [
        ("api_tokens", "0"),
        ("sign_in_links", "0"),
        ("sessions", "0"),
        ("accounts", "1"),
    ] {
        assert_eq!(counted(&copy, table)?, left, "{table}");
    }
    let works = on_laptop(&["account", "list"], &[("DATABASE_URL", url)])?;
    assert_eq!(works.status.code(), Some(0), "{}", stderr_of(&works));
    // Nothing is left to adopt, and the phrase is used up.
    let again = adopt(url, &format!("{phrase}\n"))?.context("there was a terminal before")?;
    assert_eq!(again.status.code(), Some(2));
    Ok(())
}

#[test]
fn a_copy_in_the_same_cluster_is_a_copy_too() -> Result<()> {
    let production = production()?;
    let copy = TestDatabase::create_empty()?;
    if !restored(&production, &copy)? {
        return Ok(());
    }

    let refused = on_laptop(
        &["account", "list"],
        &[("DATABASE_URL", copy.url().expose_secret())],
    )?;

    let told = stderr_of(&refused);
    assert_eq!(refused.status.code(), Some(2), "{told}");
    assert!(
        told.contains("rule B10:") && told.contains("production"),
        "{told}"
    );
    // Nor does a server take the original, whose stamp is its own.
    let original = production.url().expose_secret();
    let refused = on_laptop(&["account", "list"], &[("DATABASE_URL", original)])?;
    assert!(
        stderr_of(&refused).contains("rule B9:"),
        "{}",
        stderr_of(&refused)
    );
    Ok(())
}

#[test]
fn somebody_elses_database_can_be_looked_at_and_not_written_to() -> Result<()> {
    let database = TestDatabase::create_empty()?;
    database.execute("CREATE TABLE invoices (id int)")?;
    let url = ("DATABASE_URL", database.url().expose_secret());

    let listed = on_laptop(&["migrate", "--dry-run"], &[url])?;
    let migrated = on_laptop(&["migrate"], &[url])?;

    assert_eq!(listed.status.code(), Some(0), "{}", stderr_of(&listed));
    assert!(
        stderr_of(&listed).contains("rule B2:"),
        "{}",
        stderr_of(&listed)
    );
    assert_eq!(migrated.status.code(), Some(2));
    assert!(
        stderr_of(&migrated).contains("rule B2:"),
        "{}",
        stderr_of(&migrated)
    );
    let tables = "SELECT tablename::text AS value FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(database.query(tables)?, ["invoices"]);
    Ok(())
}

#[test]
fn an_adopted_database_without_tables_of_ours_can_be_migrated() -> Result<()> {
    let database = TestDatabase::create_empty()?;
    database.execute("CREATE TABLE invoices (id int)")?;
    let url = database.url().expose_secret();

    let phrase = phrase(url)?;
    let Some(adopted) = adopt(url, &format!("{phrase}\n"))? else {
        return Ok(());
    };
    let migrated = on_laptop(&["migrate"], &[("DATABASE_URL", url)])?;

    assert_eq!(adopted.status.code(), Some(0), "{adopted:?}");
    assert_eq!(migrated.status.code(), Some(0), "{}", stderr_of(&migrated));
    let mut server = slipway_tests::spawn(
        &["serve"],
        &[LAPTOP[0], LAPTOP[1], ("DATABASE_URL", url), ("PORT", "0")],
    )?;
    ask_to_go(&server)?;
    server.wait()?;
    Ok(())
}
