//! `slipway check`: each line true, each remedy there, the exit code the worst of them.

use anyhow::{Context, Result};
use secrecy::ExposeSecret;
use serde_json::Value;
use slipway_db::testing::{Environment, TestDatabase, skip};

use super::{Pair, door, on_laptop, stderr_of};

/// The answer of `check --json`, and its exit code.
fn checked(variables: &[(&str, &str)]) -> Result<(Value, Option<i32>)> {
    let output = on_laptop(&["check", "--json"], variables)?;
    let answer = serde_json::from_slice(&output.stdout).with_context(|| stderr_of(&output))?;
    Ok((answer, output.status.code()))
}

/// The state of a line, and what it says.
fn line(answer: &Value, name: &str) -> (String, String) {
    let checks = answer["checks"].as_array().cloned().unwrap_or_default();
    let found = checks.into_iter().find(|check| check["name"] == name);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let found = found.unwrap_or_default();
    (
        text(&found["status"]),
        format!("{} -> {}", text(&found["detail"]), text(&found["remedy"])),
    )
}

#[test]
fn a_sound_database_is_sound_in_every_line() -> Result<()> {
    let database = TestDatabase::create()?;
    database.restamp(Environment::Development, None)?;

    let (answer, code) = checked(&[("DATABASE_URL", database.url().expose_secret())])?;

    assert_eq!(code, Some(0), "{answer:#}");
    assert_eq!(answer["status"], "ok");
    for name in [
        "platform",
        "configuration",
        "guard",
        "database",
        "identity",
        "migrations",
        "encryption",
        "connections",
        "pooler",
        "storage",
    ] {
        assert_eq!(line(&answer, name).0, "ok", "{name}: {answer:#}");
    }
    assert!(
        line(&answer, "connections")
            .1
            .contains("x 2 releases + 3 = "),
        "{answer:#}"
    );
    Ok(())
}

#[test]
fn what_is_wrong_is_named_with_what_helps() -> Result<()> {
    let database = TestDatabase::create()?;
    database.restamp(Environment::Development, None)?;
    database.execute(
        "UPDATE slipway_migrations SET sha256 = sha256('edited') WHERE version = '20261122100100'",
    )?;
    let url = database.url().expose_secret();

    let (drifted, code) = checked(&[
        ("DATABASE_URL", url),
        ("SLIPWAY__DATABASE__PROCESSES", "50"),
    ])?;
    assert_eq!(code, Some(2), "{drifted:#}");
    let (state, said) = line(&drifted, "migrations");
    assert!(
        state == "refused" && said.contains("put up.sql back"),
        "{said}"
    );
    let (state, said) = line(&drifted, "connections");
    assert!(
        state == "degraded" && said.contains("processes: 50 x (8 pooled + 2)"),
        "{said}"
    );
    assert!(said.contains("start fewer processes"), "{said}");

    let empty = TestDatabase::create_empty()?;
    let (empty, code) = checked(&[("DATABASE_URL", empty.url().expose_secret())])?;
    assert_eq!(code, Some(1), "{empty:#}");
    assert!(
        line(&empty, "identity")
            .1
            .contains("run `slipway migrate` first"),
        "{empty:#}"
    );
    assert!(
        line(&empty, "migrations")
            .1
            .contains("pending: 20261122090000, "),
        "{empty:#}"
    );

    let (absent, code) = checked(&[("DATABASE_URL", "postgres://u@%2Fnonexistent/d")])?;
    assert_eq!(code, Some(2), "{absent:#}");
    assert_eq!(line(&absent, "database").0, "refused");

    let (unset, code) = checked(&[("PORT", "canary")])?;
    assert_eq!(code, Some(2), "{unset:#}");
    assert!(!unset.to_string().contains("canary"), "{unset:#}");
    Ok(())
}

#[test]
fn production_is_told_from_a_laptop_without_being_touched() -> Result<()> {
    let Some(pair) = Pair::make()? else {
        return Ok(());
    };
    super::watch(&pair.production)?;

    let (answer, code) = checked(&[("DATABASE_URL", door(&pair.production)?)])?;

    assert_eq!(code, Some(2), "{answer:#}");
    let (state, said) = line(&answer, "identity");
    assert!(state == "refused" && said.contains("rule B9"), "{said}");
    let sent = super::statements(&pair.production)?;
    assert!(
        !sent.is_empty() && sent.iter().all(|sql| super::only_looks(sql)),
        "{sent:?}"
    );
    Ok(())
}

#[test]
fn a_connection_is_as_encrypted_as_the_address_asks_or_there_is_none() -> Result<()> {
    let Some(pair) = Pair::make()? else {
        return Ok(());
    };
    let Some(certificate) = TestDatabase::certificate_of_other()? else {
        skip("there is no openssl to make a certificate with")?;
        return Ok(());
    };
    pair.production.restamp(Environment::Development, None)?;
    let url = door(&pair.production)?;
    let with = |parameters: &str| format!("{url}?{parameters}");
    let stranger = std::env::temp_dir().join(format!("slipway-ca-{}.crt", std::process::id()));
    std::fs::write(&stranger, "no certificate at all")?;

    let verified = with(&format!("sslmode=verify-full&sslrootcert={certificate}"));
    let strange = with(&format!(
        "sslmode=verify-full&sslrootcert={}",
        stranger.display()
    ));
    let (good, code) = checked(&[("DATABASE_URL", &verified)])?;
    assert_eq!(code, Some(0), "{good:#}");
    assert!(line(&good, "encryption").1.contains("TLSv1.3"), "{good:#}");

    let (bad, code) = checked(&[("DATABASE_URL", &strange)])?;
    assert_eq!(code, Some(2), "{bad:#}");
    // A server without TLS is not taken by an address that asks for it.
    let plain = format!("{}?sslmode=require", door(&pair.own)?);
    let (refused, code) = checked(&[("DATABASE_URL", &plain)])?;
    let has_certificate = line(&refused, "encryption").1.contains("TLS");
    assert!(has_certificate || code == Some(2), "{refused:#}");
    std::fs::remove_file(stranger)?;
    Ok(())
}
