//! The other side of the guard: a platform's own processes, from the first release on.

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use slipway_db::testing::{Environment, TestDatabase, skip};
use slipway_tests::{SESSION_SECRET, on_dyno};

use super::{on_laptop, stderr_of};

const APP: &str = "0b9c2f3e-3f7a-4c3e-9a54-0d8d3f7f1c11";
const ANOTHER_APP: &str = "7d1d4a5e-20a4-4a57-8a19-5a3b9d8e7c22";

/// Runs a command on a dyno of production; its exit code and what it said. `None` where
/// no dyno can be staged.
fn dyno(
    name: &str,
    arguments: &[&str],
    url: &str,
    variables: &[(&str, &str)],
) -> Result<Option<(i32, String)>> {
    let mut environment = vec![
        ("SLIPWAY_ENV", "production"),
        ("SLIPWAY_APP_ID", APP),
        ("SESSION_SECRET", SESSION_SECRET),
        ("DATABASE_URL", url),
    ];
    // The later of two wins.
    environment.extend(variables);
    let Some(mut command) = on_dyno(name, arguments, &environment)? else {
        skip("this machine cannot stage a dyno (user namespaces are closed)")?;
        return Ok(None);
    };
    let output = command.output()?;
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        stderr_of(&output)
    );
    let code = output.status.code().context("it was ended by a signal")?;
    Ok(Some((code, told)))
}

/// What is tried once production is there: the dyno, the command, what differs in its
/// variables, its exit code, and what it says.
type Case = (
    &'static str,
    &'static [&'static str],
    &'static [(&'static str, &'static str)],
    i32,
    &'static str,
);

const CASES: [Case; 14] = [
    (
        "web.1",
        &["account", "add", "ada@example.com"],
        &[],
        0,
        "added",
    ),
    ("run.1", &["account", "list"], &[], 0, "ada@example.com"),
    ("run.1", &["migrate"], &[], 0, "rule B9"),
    ("web.1", &["migrate"], &[], 2, "rule B9"),
    ("release.2", &["migrate"], &[], 0, "up to date"),
    (
        "web.1",
        &["account", "list"],
        &[("SLIPWAY_APP_ID", ANOTHER_APP)],
        2,
        "rule B12",
    ),
    (
        "web.1",
        &["account", "list"],
        &[("SLIPWAY_ENV", "staging")],
        2,
        "rule B9",
    ),
    (
        "web.1",
        &["account", "list"],
        &[("SLIPWAY_ENV", "development")],
        2,
        "rule A7",
    ),
    (
        "web.1",
        &["account", "list"],
        &[("SLIPWAY_ENV", "")],
        0,
        "rule=\"A6\"",
    ),
    (
        "release.3",
        &["migrate"],
        &[("SLIPWAY_ENV", "")],
        2,
        "rule A5",
    ),
    (
        "web.1",
        &["account", "list"],
        &[("CI", "true")],
        2,
        "rule A13",
    ),
    (
        "web.1",
        &["account", "list"],
        &[("HOME", "/root")],
        2,
        "rule A8",
    ),
    ("web.1", &["db", "stamp"], &[], 0, "environment\tproduction"),
    ("web.1", &["check"], &[], 0, "ok        identity"),
];

#[test]
fn a_release_makes_production_and_production_alone_uses_it() -> Result<()> {
    let database = TestDatabase::create_empty()?;
    let url = database.url().expose_secret();

    let Some((code, told)) = dyno("web.1", &["migrate", "--dry-run"], url, &[])? else {
        return Ok(());
    };
    assert_eq!(code, 0, "reading an empty database is no harm: {told}");
    let early = dyno("run.1", &["migrate"], url, &[])?.context("staged before")?;
    assert!(early.0 == 2 && early.1.contains("rule B1"), "{}", early.1);
    let released = dyno("release.1", &["migrate"], url, &[])?.context("staged before")?;
    assert_eq!(released.0, 0, "{}", released.1);

    let stamp = database.query(
        "SELECT concat_ws(' ', environment, app_id, stamped_by) AS value FROM slipway_stamp",
    )?;
    assert_eq!(stamp.len(), 1);
    assert!(
        stamp[0].starts_with(&format!("production {APP} slipway ")),
        "{stamp:?}"
    );
    for (name, arguments, variables, code, said) in CASES {
        let (ended, told) = dyno(name, arguments, url, variables)?.context("staged before")?;
        let told = told.replace("\"rule\":\"A6\"", "rule=\"A6\"");
        assert_eq!(ended, code, "{name} {arguments:?} {variables:?}: {told}");
        assert!(
            told.contains(said),
            "{name} {arguments:?} {variables:?}: {told}"
        );
    }
    // The laptop with the same variables, pasted.
    let pasted = [
        ("SLIPWAY_ENV", "production"),
        ("SLIPWAY_APP_ID", APP),
        ("DATABASE_URL", url),
        ("DYNO", "web.1"),
        ("HOME", "/app"),
    ];
    let refused = on_laptop(&["account", "list"], &pasted)?;
    assert!(
        stderr_of(&refused).contains("rule A8"),
        "{}",
        stderr_of(&refused)
    );
    Ok(())
}

#[test]
fn a_database_that_was_moved_is_served_with_a_warning_and_bound_by_the_next_release() -> Result<()>
{
    let database = TestDatabase::create()?;
    let url = database.url().expose_secret();
    database.restamp(Environment::Production, APP.parse().ok())?;
    // As after an upgrade: the same stamp in another cluster, without the comment.
    database.execute("UPDATE slipway_stamp SET system_identifier = system_identifier + 1")?;
    let name = database.approved().address().database();
    database.execute(&format!("COMMENT ON DATABASE {name} IS NULL"))?;

    let Some((code, told)) = dyno("web.1", &["account", "list"], url, &[])? else {
        return Ok(());
    };
    assert!(code == 0 && told.contains("rule B10"), "{told}");
    let by_hand = dyno("run.1", &["migrate"], url, &[])?.context("staged before")?;
    assert!(
        by_hand.0 == 2 && by_hand.1.contains("rule B10"),
        "{}",
        by_hand.1
    );
    let released = dyno("release.1", &["migrate"], url, &[])?.context("staged before")?;
    assert!(
        released.0 == 0 && released.1.contains("bound to the database"),
        "{}",
        released.1
    );

    let (code, told) = dyno("web.1", &["check"], url, &[])?.context("staged before")?;
    assert!(told.contains("as stamped"), "{told}");
    assert_eq!(code, 0, "{told}");
    Ok(())
}

#[test]
fn a_promotion_in_progress_fails_the_release_with_the_names_of_what_is_there() -> Result<()> {
    let others = [(
        "HEROKU_POSTGRESQL_TEAL_URL",
        "postgres://u:canary@db.example.com/d",
    )];

    let Some((code, told)) = dyno("release.1", &["migrate"], "", &others)? else {
        return Ok(());
    };

    assert_eq!(code, 2, "{told}");
    assert!(
        told.contains("DATABASE_URL is not set, though HEROKU_POSTGRESQL_TEAL_URL is"),
        "{told}"
    );
    assert!(!told.contains("canary"), "{told}");
    Ok(())
}
