//! What is explained, and what never is.

use std::path::PathBuf;

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// As seen from the crate's own folder, where cargo starts its tests.
fn fixtures(name: &str) -> PathBuf {
    Path::new("fixtures").join(name)
}

/// The explanation in words, with the folder of the fixtures left out.
fn told(environ: impl Into<Environ>, folder: &str) -> String {
    let explanation = Explanation::of(&environ.into(), &fixtures(folder));
    explanation.to_string().replace("fixtures/", "")
}

#[test]
fn a_key_is_told_with_its_value_its_origin_and_what_it_shadows() {
    let told = told(
        [
            ("SLIPWAY_ENV", "test"),
            ("SESSION_SECRET", SECRET),
            ("PORT", "4003"),
            ("RUST_LOG", "info\nnext=line"),
        ],
        "sound",
    );

    assert!(
        told.starts_with(
            "environment = \"test\" (SLIPWAY_ENV)\nserver.bind = \"0.0.0.0\" (built-in)\n"
        ),
        "{told}"
    );
    for lines in [
        "\nserver.port = 4003 (PORT)\n    shadows 4002 (sound/test.toml:1)\n    \
         shadows 4001 (sound/default.toml:3)\n    shadows 8080 (built-in)\nserver.workers = 3 ",
        "\nlog.filter = \"info\\nnext=line\" (RUST_LOG)\n",
        "\nSESSION_SECRET = [redacted, 32 bytes, fingerprint ",
    ] {
        assert!(told.contains(lines), "{lines}\n{told}");
    }
    assert!(!told.contains("faults"), "{told}");
}

#[test]
fn faults_are_explained_beside_the_keys() {
    let told = told([("PORT", "many")], "sound");

    for line in [
        "server.port = [unusable] (PORT)\n    shadows 4001",
        "\nfaults:\n  - SLIPWAY_ENV is not set",
        "  - SESSION_SECRET is not set",
        "  - PORT, which sets server.port, must be a whole number",
    ] {
        assert!(told.contains(line), "{line}\n{told}");
    }
}

#[test]
fn an_unknown_environment_still_explains_the_rest() {
    let told = told([("SLIPWAY_ENV", "canary"), ("APP_ENV", "canary")], "sound");

    assert!(
        told.starts_with(
            "environment = [unusable] (SLIPWAY_ENV)\n    shadows [unusable] (APP_ENV)\n"
        ),
        "{told}"
    );
    assert!(told.contains("shadows 8080 (built-in)"), "{told}");
}

#[test]
fn fingerprints_need_a_session_secret_that_can_be_a_key() {
    for (secret, shown) in [
        (SECRET, "[redacted, 6 bytes, fingerprint "),
        ("short", "[redacted, 6 bytes]"),
        ("", "[redacted, 6 bytes]"),
    ] {
        let told = told(
            [("SESSION_SECRET", secret), ("METRICS_TOKEN", "hunter")],
            "sound",
        );

        assert!(told.contains(&format!("METRICS_TOKEN = {shown}")), "{told}");
    }
}

#[test]
fn no_canary_in_any_variable_or_file_is_ever_shown() {
    let canary = "canary-canary-canary-canary-canary-7f3a";
    let names = [
        "SLIPWAY_ENV",
        "SESSION_SECRET",
        "SESSION_SECRET_PREVIOUS",
        "DATABASE_URL",
        "TEST_DATABASE_URL",
        "DATABASE_HOST",
        "DATABASE_PORT",
        "DATABASE_NAME",
        "DATABASE_USER",
        "DATABASE_PASSWORD",
        "PGPASSWORD",
        "METRICS_TOKEN",
        "SENTRY_DSN",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "PORT",
        "WEB_CONCURRENCY",
        "SLIPWAY__SERVER__BIND",
        "SLIPWAY__JOBS__INLINE",
        "SLIPWAY__UPLOADS__STORE",
        "SLIPWAY__UPLOADS__SECRET",
        "DYNO",
        "HOME",
    ];
    for folder in ["sound", "faulty", "broken"] {
        for also in [("APP_ENV", "canary"), ("SLIPWAY_ENV", "test")] {
            let pairs = names.iter().map(|name| (*name, canary)).chain([also]);
            let environ: Environ = pairs
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();

            let explanation = Explanation::of(&environ, &fixtures(folder));
            let faults = Settings::load(&environ, &fixtures(folder)).unwrap_err();

            let shown = format!("{explanation} {explanation:?} {faults} {faults:?} {environ:?}");
            assert!(
                shown.contains("SENTRY_DSN = [redacted, 39 bytes"),
                "{shown}"
            );
            assert!(!shown.contains("canary"), "{shown}");
        }
    }
}
