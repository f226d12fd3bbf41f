//! Secrets in every variable that may hold one, and every command that could repeat
//! them: as it works, as it is refused, as it fails.

use anyhow::Result;
use secrecy::ExposeSecret;
use slipway_db::testing::{Environment, TestDatabase};
use slipway_tests::{Site, output_of};

use super::stderr_of;

/// Long enough to be a session secret; found by its middle wherever it shows.
const CANARY: &str = "0123456789-canary-7f3a-0123456789-abcdef";

const VARIABLES: [&str; 14] = [
    "SESSION_SECRET",
    "SESSION_SECRET_PREVIOUS",
    "METRICS_TOKEN",
    "SENTRY_DSN",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "BUCKETEER_AWS_SECRET_ACCESS_KEY",
    "HEROKU_POSTGRESQL_TEAL_URL",
    "HEROKU_API_KEY",
    "TEST_DATABASE_PASSWORD",
    "PGPASSWORD",
    "GITHUB_TOKEN",
    "REDIS_URL",
    "SLIPWAY_TYPO",
];

const COMMANDS: [&[&str]; 18] = [
    &["config", "explain"],
    &["config", "explain", "--json"],
    &["config", "explain", "--why-environment"],
    &["check"],
    &["check", "--json"],
    &["db", "stamp"],
    &["db", "adopt", "--as", "development"],
    &["migrate", "--dry-run"],
    &["migrate"],
    &["account", "add", "ada@example.com"],
    &["account", "list"],
    &["account", "disable", "nobody@example.com"],
    &["token", "list"],
    &["token", "revoke", "01a203b5-6d5b-7551-b2be-ea98cd85221e"],
    &["serve"],
    &["work"],
    &["nonsense"],
    &["--help"],
];

/// `serve` and `work` end by themselves only if they are refused.
fn goes_on(command: &[&str], scene: &str) -> bool {
    matches!(command, ["serve" | "work"]) && matches!(scene, "sound" | "away")
}

#[test]
fn no_command_repeats_a_secret_however_it_ends() -> Result<()> {
    let database = TestDatabase::create()?;
    database.restamp(Environment::Development, None)?;
    let sound = database
        .url()
        .expose_secret()
        .replace("slipway@", &format!("slipway:{CANARY}@"));
    let production = TestDatabase::create()?;
    production.restamp(Environment::Production, None)?;
    let refused = production
        .url()
        .expose_secret()
        .replace("slipway@", &format!("slipway:{CANARY}@"));
    let away = format!("postgres://u:{CANARY}@%2Fnonexistent/d");
    let unreadable = format!("postgres://u:{CANARY}@x@h/d?{CANARY}={CANARY}");
    let far = format!("postgres://u:{CANARY}@db.example.com/d");
    let closed = format!("postgres://u:{CANARY}@127.0.0.1:1/d");

    let mut ran = 0;
    for (scene, url) in [
        ("sound", &sound),
        ("refused", &refused),
        ("away", &away),
        ("unreadable", &unreadable),
        ("far", &far),
        ("closed", &closed),
    ] {
        for command in COMMANDS
            .into_iter()
            .filter(|command| !goes_on(command, scene))
        {
            if scene == "closed" && matches!(command, ["serve" | "work"]) {
                continue;
            }
            let mut environment: Vec<(&str, &str)> =
                VARIABLES.into_iter().map(|name| (name, CANARY)).collect();
            environment.push(("SLIPWAY_ENV", "development"));
            environment.push(("DATABASE_URL", url));
            environment.push(("RUST_LOG", "trace"));
            environment.push(("RUST_BACKTRACE", "1"));

            let output = output_of(command, &environment)?;

            ran += 1;
            let told = format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                stderr_of(&output)
            );
            assert!(!told.contains("canary-7f3a"), "{scene} {command:?}: {told}");
            assert!(!told.contains("panicked"), "{scene} {command:?}: {told}");
        }
    }
    assert!(ran > 90, "{ran} runs");
    Ok(())
}

#[tokio::test]
async fn no_answer_of_a_server_repeats_a_secret() -> Result<()> {
    let settings: Vec<(&str, &str)> = VARIABLES
        .into_iter()
        .filter(|name| *name != "SESSION_SECRET")
        .map(|name| (name, CANARY))
        .chain([("RUST_LOG", "trace")])
        .collect();
    let mut site = Site::start_with(&settings)?;
    let http = reqwest::Client::new();

    for path in [
        "/healthz",
        "/readyz",
        "/metrics",
        "/",
        "/sign-in",
        "/files/",
        "/files/nonsense",
        "/api/v1/uploads",
        "/api/v1/jobs",
        "/api/v1/uploads/nonsense",
        "/live",
        "/nowhere",
        "/sign-in?link=canary",
    ] {
        for method in [
            reqwest::Method::GET,
            reqwest::Method::POST,
            reqwest::Method::PATCH,
        ] {
            let asked = http.request(method, format!("{}{path}", site.url()));
            let answer = asked.bearer_auth("slw_nonsense").body("{").send().await?;
            let headers = format!("{:?}", answer.headers());
            let body = answer.text().await?;
            assert!(
                !headers.contains("canary-7f3a") && !body.contains("canary-7f3a"),
                "{path}"
            );
        }
    }
    let log = site.log();
    assert!(
        log.contains("/nowhere") || log.len() > 1_000,
        "nothing was logged: {log}"
    );
    assert!(!log.contains("canary-7f3a"), "{log}");
    assert!(!log.contains(slipway_tests::SESSION_SECRET), "{log}");
    site.stop()?;
    Ok(())
}
