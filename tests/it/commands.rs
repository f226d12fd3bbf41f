//! The commands and how they end.

use anyhow::Result;
use slipway_tests::{SESSION_SECRET, Site, output_of};

/// A database that the guard lets tests dial and where nobody answers.
const NOBODY: &str = "postgres://slipway@%2Fnonexistent/none_test";

#[test]
fn wrong_usage_is_told_apart_from_refusal_and_failure() -> Result<()> {
    let sound = [
        ("SLIPWAY_ENV", "test"),
        ("SESSION_SECRET", SESSION_SECRET),
        ("TEST_DATABASE_URL", NOBODY),
    ];
    for (arguments, environment, code, said) in [
        (&["launch"][..], &sound[..], 64, "unrecognized subcommand"),
        (&[], &sound, 64, "Usage: slipway"),
        (&["migrate"], &[], 2, "SLIPWAY_ENV is not set"),
        (&["migrate"], &sound[..2], 2, "TEST_DATABASE_URL is not set"),
        (&["migrate"], &sound, 1, "the database cannot be reached"),
        (&["--help"], &[], 0, ""),
    ] {
        let output = output_of(arguments, environment)?;
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {stderr}");
        assert!(stderr.contains(said), "{arguments:?}: {stderr}");
    }
    Ok(())
}

#[test]
fn production_is_out_of_reach_from_here() -> Result<()> {
    let url = "postgres://u:canary-7f3a@db.example.com/d";
    for (environment, rule) in [
        (
            &[("SLIPWAY_ENV", "production"), ("DATABASE_URL", url)][..],
            "A9",
        ),
        (
            &[("SLIPWAY_ENV", "development"), ("DATABASE_URL", url)],
            "A11",
        ),
        (
            &[
                ("SLIPWAY_ENV", "production"),
                ("DATABASE_URL", url),
                ("DYNO", "web.1"),
            ],
            "A8",
        ),
        (&[("SLIPWAY_ENV", "test"), ("DATABASE_URL", url)], "A12"),
    ] {
        let mut environment = environment.to_vec();
        environment.push(("SESSION_SECRET", SESSION_SECRET));

        let output = output_of(&["serve"], &environment)?;

        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains(&format!("rule {rule}:")), "{stderr}");
        assert!(!stderr.contains("canary"), "{stderr}");
    }
    Ok(())
}

#[test]
fn a_server_starts_before_its_database_and_says_that_it_is_not_ready() -> Result<()> {
    let site = Site::start_unready(NOBODY)?;

    let alive = site.answer("/healthz")?;
    let ready = site.answer("/readyz")?;

    assert!(
        alive.starts_with("HTTP/1.1 200") && alive.ends_with("ok"),
        "{alive}"
    );
    assert!(ready.starts_with("HTTP/1.1 503"), "{ready}");
    assert!(ready.contains(r#""status":"unavailable""#), "{ready}");
    Ok(())
}

#[test]
fn migrating_twice_changes_nothing() -> Result<()> {
    let site = Site::start()?;
    let before = site
        .database()
        .query("SELECT count(*)::text AS value FROM __diesel_schema_migrations")?;

    site.slipway(&["migrate"])?;

    let after = site
        .database()
        .query("SELECT count(*)::text AS value FROM __diesel_schema_migrations")?;
    assert_eq!(before, after);
    Ok(())
}

#[test]
fn a_schema_that_is_behind_makes_the_server_unready() -> Result<()> {
    let site = Site::start()?;
    site.database().execute(
        "SET slipway.migrating = 'yes'; \
         DELETE FROM __diesel_schema_migrations WHERE version = (SELECT max(version) FROM __diesel_schema_migrations)",
    )?;

    let ready = site.answer("/readyz")?;

    assert!(
        ready.starts_with("HTTP/1.1 503") && ready.contains("pending: 2026"),
        "{ready}"
    );
    Ok(())
}

#[test]
fn an_idle_server_goes_when_it_is_asked_to() -> Result<()> {
    let mut site = Site::start()?;

    let (_, status) = site.stop()?;

    assert!(status.success(), "{status}");
    Ok(())
}

#[test]
fn the_configuration_is_explained_without_a_database_and_whatever_is_wrong() -> Result<()> {
    let sound = [
        ("SLIPWAY_ENV", "production"),
        ("SESSION_SECRET", SESSION_SECRET),
        ("DATABASE_URL", "postgres://u:canary-7f3a@db.example.com/d"),
        ("PORT", "4003"),
    ];

    let told = output_of(&["config", "explain"], &sound)?;
    let stdout = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{stdout}");
    assert!(
        stdout.contains("server.port = 4003 (PORT)\n    shadows 8080 (config/default.toml:"),
        "{stdout}"
    );
    assert!(
        stdout.contains("DATABASE_URL = [redacted, 41 bytes, fingerprint "),
        "{stdout}"
    );
    assert!(
        !stdout.contains("canary") && !stdout.contains(SESSION_SECRET),
        "{stdout}"
    );

    let faulty = [
        sound[0],
        sound[2],
        ("SLIPWAY__SERVR__PORT", "canary-7f3a"),
        ("PORT", "canary"),
    ];
    let told = output_of(&["config", "explain", "--json"], &faulty)?;
    let (stdout, stderr) = (
        String::from_utf8_lossy(&told.stdout),
        String::from_utf8_lossy(&told.stderr),
    );
    assert_eq!(told.status.code(), Some(2), "{stderr}");
    let answer: serde_json::Value = serde_json::from_str(&stdout)?;
    let faults = answer["faults"].to_string();
    for fault in [
        "SESSION_SECRET is not set",
        "did you mean SLIPWAY__SERVER__PORT?",
        "PORT, which",
    ] {
        assert!(faults.contains(fault), "{fault}: {faults}");
    }
    assert!(
        !stdout.contains("canary") && !stderr.contains("canary"),
        "{stdout}{stderr}"
    );

    let told = output_of(&["config", "explain", "--why-environment"], &sound)?;
    let stdout = String::from_utf8_lossy(&told.stdout);
    assert_eq!(told.status.code(), Some(0), "{stdout}");
    for line in [
        "SLIPWAY_ENV: production\n",
        "platform: none in sight\n",
        "guard: rule A9: ",
    ] {
        assert!(stdout.contains(line), "{line}: {stdout}");
    }
    Ok(())
}

#[test]
fn production_does_not_start_with_a_secret_that_is_missing_short_or_known() -> Result<()> {
    for (secret, told) in [
        (None, "SESSION_SECRET is not set"),
        (Some("too-short"), "SESSION_SECRET has 9 characters"),
        (
            Some("change-me-change-me-change-me-change-me"),
            "SESSION_SECRET looks like one out of an example",
        ),
    ] {
        let mut environment = vec![
            ("SLIPWAY_ENV", "production"),
            ("DATABASE_URL", "postgres://u@db.example.com/d"),
        ];
        environment.extend(secret.map(|secret| ("SESSION_SECRET", secret)));

        let refused = output_of(&["serve"], &environment)?;

        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(told), "{said}");
        assert!(secret.is_none_or(|secret| !said.contains(secret)), "{said}");
    }
    Ok(())
}
