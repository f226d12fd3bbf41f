//! Layers, and what is said when they cannot be used.

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The repository's own `config/` folder: what is shipped is what is tested.
fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../config")
}

fn faults(environ: Environ) -> String {
    Settings::load(&environ, &folder()).unwrap_err().to_string()
}

#[test]
fn every_environment_has_a_usable_configuration() {
    for environment in Environment::ALL {
        let environ = [
            ("SLIPWAY_ENV", environment.as_str()),
            ("SESSION_SECRET", SECRET),
        ];

        let settings = Settings::load(&environ.into(), &folder()).unwrap();

        assert_eq!(settings.environment, environment);
        assert_eq!(
            settings.sessions.secure_cookies,
            environment.is_deployed(),
            "{environment}"
        );
    }
}

#[test]
fn a_binary_without_its_files_starts_with_the_strict_defaults() {
    let environ = [("SLIPWAY_ENV", "production"), ("SESSION_SECRET", SECRET)];

    let settings = Settings::load(&environ.into(), Path::new("/nonexistent")).unwrap();

    assert!(settings.sessions.secure_cookies);
}

#[test]
fn the_environment_wins_over_files_and_the_specific_name_over_the_platforms() {
    let environ = [
        ("SLIPWAY_ENV", "test"),
        ("SESSION_SECRET", SECRET),
        ("PORT", "4000"),
        ("WEB_CONCURRENCY", "3"),
        ("SLIPWAY__DATABASE__POOL_MAX", "7"),
    ];
    let settings = Settings::load(&environ.into(), &folder()).unwrap();
    assert_eq!(settings.server.port, 4000);
    assert_eq!(settings.server.workers, 3);
    assert_eq!(settings.database.pool_max, 7);

    let specific = [
        ("SLIPWAY_ENV", "test"),
        ("SESSION_SECRET", SECRET),
        ("PORT", "4000"),
        ("SLIPWAY__SERVER__PORT", "5000"),
    ];
    assert_eq!(
        Settings::load(&specific.into(), &folder())
            .unwrap()
            .server
            .port,
        5000
    );
}

#[test]
fn several_faults_are_reported_at_once() {
    let told = faults(Environ::from([
        ("SLIPWAY_ENV", "prod"),
        ("SESSION_SECRET", "short"),
    ]));

    assert!(
        told.contains("SLIPWAY_ENV is \"prod\"") && told.contains("has 5 characters"),
        "{told}"
    );
}

#[test]
fn a_misspelt_key_and_a_wrong_type_are_reported_by_key() {
    let base = [("SLIPWAY_ENV", "test"), ("SESSION_SECRET", SECRET)];

    let misspelt = faults([base[0], base[1], ("SLIPWAY__SERVER__PROT", "1")].into());
    assert!(misspelt.contains("prot"), "{misspelt}");

    let wrong = faults([base[0], base[1], ("PORT", "canary-7f3a")].into());
    assert!(
        wrong.contains("server.port") && !wrong.contains("canary"),
        "{wrong}"
    );
}

#[test]
fn a_deployed_environment_insists_on_secure_cookies() {
    let told = faults(Environ::from([
        ("SLIPWAY_ENV", "production"),
        ("SESSION_SECRET", SECRET),
        ("SLIPWAY__SESSIONS__SECURE_COOKIES", "false"),
    ]));

    assert!(told.contains("secure_cookies"), "{told}");
}

#[test]
fn debug_output_hides_the_secret() {
    let environ = [
        ("SLIPWAY_ENV", "test"),
        ("SESSION_SECRET", "canary-canary-canary-canary-canary"),
    ];
    let settings = Settings::load(&environ.into(), &folder()).unwrap();

    let shown = format!("{settings:?}");

    assert!(!shown.contains("canary"), "{shown}");
}
