//! Production behind a port of one's own machine, and a database that becomes another
//! one while a server runs.

use std::net::ToSocketAddrs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use slipway_db::testing::{Environment, TestDatabase};
use slipway_tests::{Site, Tunnel};

use super::{Pair, door, on_laptop, only_looks, statements, stderr_of, watch};

/// How soon a command must know better. A second is what people wait for; the rest is
/// for machines that are busy with other tests.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

#[test]
fn a_tunnel_to_production_is_refused_at_the_first_look() -> Result<()> {
    let Some(pair) = Pair::make()? else {
        return Ok(());
    };
    let url = door(&pair.production)?;
    let (credentials, rest) = url.split_once('@').context("a door has credentials")?;
    let (ip, name) = rest.split_once('/').context("a door names a database")?;
    let far = (ip, 5432)
        .to_socket_addrs()?
        .next()
        .context("a door has an address")?;
    let tunnel = Tunnel::to(far)?;
    let through = format!("{credentials}@localhost:{}/{name}", tunnel.port());
    watch(&pair.production)?;

    for arguments in [
        &["serve"][..],
        &["work"],
        &["migrate"],
        &["migrate", "--dry-run"],
        &["account", "list"],
        &["account", "add", "eve@example.com"],
        &["token", "list"],
        &["db", "adopt", "--as", "development"],
    ] {
        let began = Instant::now();
        let output = on_laptop(arguments, &[("DATABASE_URL", &through), ("PORT", "0")])?;

        let (took, told) = (began.elapsed(), stderr_of(&output));
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {told}");
        assert!(told.contains("rule B9:"), "{arguments:?}: {told}");
        assert!(took < KNOWN_WITHIN, "{arguments:?} took {took:?}");
    }
    let sent = statements(&pair.production)?;
    assert!(sent.len() > 8, "{sent:?}");
    assert!(sent.iter().all(|sql| only_looks(sql)), "{sent:?}");
    // Looking is free, so that one can find out.
    let stamp = on_laptop(&["db", "stamp"], &[("DATABASE_URL", &through)])?;
    let told = String::from_utf8_lossy(&stamp.stdout).into_owned();
    assert_eq!(stamp.status.code(), Some(0), "{}", stderr_of(&stamp));
    assert!(told.contains("environment\tproduction\n"), "{told}");
    assert!(told.contains("write to\trefused by rule B9"), "{told}");
    Ok(())
}

#[test]
fn a_database_that_is_replaced_under_a_server_is_noticed_with_the_next_connection() -> Result<()> {
    let site = Site::start()?;
    site.database().restamp(Environment::Production, None)?;
    let name = site.database().approved().address().database().to_owned();

    site.database().execute(&format!(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE datname = '{name}' AND pid <> pg_backend_pid()"
    ))?;

    let ready = site.wait_for("/readyz", "refused by rule B9")?;
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(!ready.contains(&name), "{ready}");
    Ok(())
}

#[test]
fn another_migration_tool_is_stopped_by_the_database_itself() -> Result<()> {
    let database = TestDatabase::create()?;
    let versions = "SELECT version AS value FROM __diesel_schema_migrations ORDER BY 1";
    let before = database.query(versions)?;

    // What `diesel migration run` and `diesel migration redo` end with.
    for sql in [
        "BEGIN; CREATE TABLE stray (id int); \
         INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231235959'); COMMIT",
        "DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
        "TRUNCATE __diesel_schema_migrations",
    ] {
        let error = database
            .execute(sql)
            .map_or_else(|error| error.to_string(), |()| String::new());
        assert!(
            error.contains("migrated by \"slipway migrate\" alone"),
            "{sql}: {error}"
        );
    }

    assert_eq!(database.query(versions)?, before);
    let stray = database.query(
        "SELECT to_regclass('stray')::text AS value WHERE to_regclass('stray') IS NOT NULL",
    )?;
    assert_eq!(stray, Vec::<String>::new());
    Ok(())
}
