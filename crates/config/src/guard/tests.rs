//! Stage A, rule by rule, from variables to the sentence.

use super::*;
use crate::machine::{Machine, Mark};

const LOCAL: &str = "postgres://u@%2Ftmp/slipway_dev";
pub(super) const REMOTE: &str = "postgres://u:canary-p@192.0.2.1/d";

pub(super) fn settings() -> DatabaseSettings {
    DatabaseSettings {
        pool_max: 4,
        processes: 2,
        tls: TlsMode::Prefer,
        tls_authority: None,
        remote_hosts: vec!["192.0.2.9".to_owned(), "192.0.2.8".to_owned()],
    }
}

pub(super) fn environ(variables: &[(&str, &str)]) -> Environ {
    variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

/// The same on a dyno.
pub(super) fn on_dyno(dyno: &str, variables: &[(&str, &str)]) -> Environ {
    let mut all = vec![("DYNO", dyno), ("HOME", "/app")];
    all.extend(variables);
    let mut environ = environ(&all);
    environ.machine = Machine {
        folder: "/app".into(),
        marks: [Mark::Container].into(),
    };
    environ
}

fn rule_to(access: Access, environ: &Environ) -> String {
    match approve(environ, &settings(), access) {
        Ok(approved) => {
            let shown = format!("{approved:?} {}", approved.redacted());
            assert!(!shown.contains("canary"), "{shown}");
            approved.ruling().rule.to_owned()
        }
        Err(refusal) => {
            let shown = format!("{refusal} {refusal:?}");
            assert!(!shown.contains("canary"), "{shown}");
            refusal.ruling.rule.to_owned()
        }
    }
}

fn rule(variables: &[(&str, &str)]) -> String {
    rule_to(Access::Write, &environ(variables))
}

#[test]
fn a_laptop_reaches_its_own_database_and_no_other() {
    let development = ("SLIPWAY_ENV", "development");

    assert_eq!(rule(&[development, ("DATABASE_URL", LOCAL)]), "A15");
    assert_eq!(
        rule(&[development, ("DATABASE_URL", "postgres://u@10.0.0.1/d")]),
        "A15"
    );
    assert_eq!(rule(&[development, ("DATABASE_URL", REMOTE)]), "A11");
    assert_eq!(
        rule(&[development, ("DATABASE_URL", "postgres://u@192.0.2.9/d")]),
        "A15"
    );
    assert_eq!(rule(&[development]), "A2");
    assert_eq!(rule(&[("DATABASE_URL", LOCAL)]), "A1");
    assert_eq!(
        rule(&[("APP_ENV", "test"), development, ("DATABASE_URL", LOCAL)]),
        "A1"
    );
}

#[test]
fn a_laptop_is_never_production() {
    for environment in ["production", "staging", "preview"] {
        let variables = [("SLIPWAY_ENV", environment), ("DATABASE_URL", LOCAL)];
        assert_eq!(rule(&variables), "A9");
        // It may be asked why.
        assert_eq!(rule_to(Access::Look, &environ(&variables)), "A15");
    }
}

#[test]
fn variables_pasted_from_a_dyno_are_recognised() {
    let pasted = [
        ("SLIPWAY_ENV", "production"),
        ("DATABASE_URL", LOCAL),
        ("DYNO", "web.1"),
        ("HOME", "/app"),
    ];

    assert_eq!(rule(&pasted), "A8");
}

#[test]
fn addresses_pasted_from_a_platform_are_recognised() {
    let development = ("SLIPWAY_ENV", "development");
    let tunnel = "postgres://u:canary@localhost:6000/d";
    for variables in [
        &[
            development,
            ("DATABASE_URL", tunnel),
            ("HEROKU_POSTGRESQL_TEAL_URL", tunnel),
        ][..],
        &[development, ("DATABASE_URL", REMOTE), ("BLUE_URL", REMOTE)],
        &[
            development,
            ("DATABASE_URL", "postgres://u@canary.neon.tech/d"),
        ],
    ] {
        let ours = environ(variables);
        let refused = approve(&ours, &settings(), Access::Write).unwrap_err();
        assert_eq!(refused.ruling.rule, "A10");
    }
    // People call the database of their own machine by several names.
    let own = "postgres://u@localhost/d";
    assert_eq!(
        rule(&[development, ("DATABASE_URL", own), ("SHOP_URL", own)]),
        "A15"
    );
}

#[test]
fn a_dyno_reaches_its_database_under_a_deployed_environment_only() {
    let remote = ("DATABASE_URL", REMOTE);
    let on = |dyno, variables: &[(&str, &str)]| rule_to(Access::Write, &on_dyno(dyno, variables));

    assert_eq!(on("web.1", &[("SLIPWAY_ENV", "production"), remote]), "A15");
    assert_eq!(on("web.1", &[("SLIPWAY_ENV", "development"), remote]), "A7");
    assert_eq!(on("web.1", &[("SLIPWAY_ENV", "test"), remote]), "A7");
    assert_eq!(on("web.1", &[("SLIPWAY_ENV", "prodution"), remote]), "A1");
    let proxied = ("DATABASE_URL", "postgres://u@127.0.0.1:6000/d");
    assert_eq!(
        on("web.1", &[("SLIPWAY_ENV", "production"), proxied]),
        "A14"
    );
    let ci = [("SLIPWAY_ENV", "production"), remote, ("CI", "true")];
    assert_eq!(on("web.1", &ci), "A13");
    let both = [
        ("SLIPWAY_ENV", "production"),
        proxied,
        ("FLY_APP_NAME", "a"),
        ("FLY_MACHINE_ID", "1"),
    ];
    assert_eq!(rule_to(Access::Look, &on_dyno("web.1", &both)), "A13");
}

#[test]
fn a_dyno_without_a_declaration_is_taken_for_the_strictest() {
    let remote = ("DATABASE_URL", REMOTE);
    let assumed = |extra: &[(&str, &str)]| {
        let mut variables = vec![remote, ("TEST_DATABASE_URL", "postgres://u@%2Ftmp/x_test")];
        variables.extend(extra);
        let approved = approve(&on_dyno("web.1", &variables), &settings(), Access::Write).unwrap();
        assert!(approved.is_assumed());
        approved.environment()
    };

    assert_eq!(assumed(&[]), Environment::Production);
    assert_eq!(assumed(&[("HEROKU_PR_NUMBER", "7")]), Environment::Preview);
    assert_eq!(
        assumed(&[("HEROKU_TEST_RUN_ID", "7"), ("CI", "true")]),
        Environment::Test
    );
    assert_eq!(
        rule_to(Access::Migrate, &on_dyno("release.1", &[remote])),
        "A5"
    );
}

#[test]
fn tests_ignore_database_url_and_insist_on_a_test_database() {
    let test = ("SLIPWAY_ENV", "test");

    assert_eq!(
        rule(&[test, ("DATABASE_URL", "postgres://u@%2Ftmp/x_test")]),
        "A12"
    );
    assert_eq!(rule(&[test, ("TEST_DATABASE_URL", LOCAL)]), "A12");
    assert_eq!(
        rule(&[test, ("TEST_DATABASE_URL", "postgres://u@192.0.2.1/x_test")]),
        "A11"
    );
    let right = ("TEST_DATABASE_URL", "postgres://u@%2Ftmp/x_test");
    assert_eq!(rule(&[test, right]), "A15");
    // Not even to say that they are wrong.
    assert_eq!(rule(&[test, right, ("DATABASE_PORT", "canary")]), "A15");
}

#[test]
fn variables_that_steer_libpq_are_refused_by_name() {
    for name in [
        "PGHOSTADDR",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGOPTIONS",
        "PGPORT",
    ] {
        let variables = [
            ("SLIPWAY_ENV", "development"),
            ("DATABASE_URL", LOCAL),
            (name, "canary"),
        ];

        let refusal = approve(&environ(&variables), &settings(), Access::Look).unwrap_err();

        assert_eq!(refusal.ruling.rule, "A2");
        assert!(refusal.ruling.evidence.contains(name), "{refusal}");
        assert!(!refusal.to_string().contains("canary"), "{refusal}");
    }
    // What the address says is not left to variables.
    let said = "postgres://u@localhost:5432/d";
    let ignored = [
        ("SLIPWAY_ENV", "development"),
        ("DATABASE_URL", said),
        ("PGPORT", "1"),
        ("PGHOST", "x"),
    ];
    assert_eq!(rule(&ignored), "A15");
}

#[test]
fn several_servers_are_for_platforms_that_list_them() {
    let listed = ("DATABASE_URL", "postgres://u@192.0.2.8,192.0.2.9/d");
    let others = ("DATABASE_URL", "postgres://u@192.0.2.8,192.0.2.7/d");
    let production = ("SLIPWAY_ENV", "production");

    assert_eq!(rule(&[("SLIPWAY_ENV", "development"), listed]), "A3");
    assert_eq!(
        rule_to(Access::Write, &on_dyno("web.1", &[production, others])),
        "A3"
    );
    assert_eq!(
        rule_to(Access::Write, &on_dyno("web.1", &[production, listed])),
        "A15"
    );
    let twice = ("DATABASE_URL", "postgres://u@localhost/d?host=192.0.2.1");
    assert_eq!(rule(&[("SLIPWAY_ENV", "development"), twice]), "A4");
}

#[test]
fn an_address_may_ask_for_more_protection_and_never_for_less() {
    let production = ("SLIPWAY_ENV", "production");
    for (parameters, decided) in [
        ("", "A15"),
        ("?sslmode=require", "A15"),
        ("?sslmode=verify-full", "A15"),
        ("?sslmode=prefer", "T1"),
        ("?sslmode=disable", "T1"),
    ] {
        let url = format!("{REMOTE}{parameters}");
        let environ = on_dyno("web.1", &[production, ("DATABASE_URL", &url)]);
        assert_eq!(rule_to(Access::Write, &environ), decided, "{parameters}");
    }
    let least = |reach: &str| {
        let environ = on_dyno("web.1", &[production, ("DATABASE_URL", reach)]);
        let approved = approve(&environ, &settings(), Access::Write).unwrap();
        approved.tls_at_least()
    };
    assert_eq!(least(REMOTE), TlsMode::Require);
    assert_eq!(least("postgres://u@127.0.0.1/d"), TlsMode::Prefer);
}

#[test]
fn components_are_as_good_as_the_url_and_held_to_the_same_rules() {
    let development = ("SLIPWAY_ENV", "development");
    let here = [
        ("DATABASE_HOST", "/tmp"),
        ("DATABASE_NAME", "slipway_dev"),
        ("DATABASE_USER", "u"),
    ];
    assert_eq!(rule(&[development, here[0], here[1], here[2]]), "A15");
    let there = ("DATABASE_HOST", "192.0.2.1");
    assert_eq!(rule(&[development, there, here[1], here[2]]), "A11");
    assert_eq!(rule(&[development, here[0], here[1]]), "A2");
    assert_eq!(
        rule(&[
            development,
            here[0],
            here[1],
            here[2],
            ("DATABASE_URL", LOCAL)
        ]),
        "A15"
    );

    let differing = environ(&[
        development,
        ("DATABASE_URL", "postgres://canary:canary@localhost/d"),
        ("DATABASE_HOST", "canary.example.com"),
        ("DATABASE_PORT", "5432"),
        ("DATABASE_PASSWORD", "canary-7f3a"),
    ]);
    let refusal = approve(&differing, &settings(), Access::Write).unwrap_err();
    assert_eq!(refusal.ruling.rule, "A2");
    let shown = format!("{refusal} {refusal:?}");
    assert!(
        shown.contains("DATABASE_HOST, DATABASE_PASSWORD name"),
        "{shown}"
    );
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn a_promotion_in_progress_is_told_by_the_databases_that_are_there() {
    let promoted = on_dyno(
        "release.1",
        &[
            ("SLIPWAY_ENV", "production"),
            ("HEROKU_POSTGRESQL_TEAL_URL", REMOTE),
        ],
    );

    let refusal = approve(&promoted, &settings(), Access::Migrate).unwrap_err();

    assert_eq!(refusal.ruling.rule, "A2");
    let shown = refusal.to_string();
    assert!(
        shown.contains("though HEROKU_POSTGRESQL_TEAL_URL is"),
        "{shown}"
    );
}
