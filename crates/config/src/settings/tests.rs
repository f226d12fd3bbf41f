//! Layers, and what is said when they cannot be used.

use super::*;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// The repository's own `config/` folder: what is shipped is what is tested.
fn folder() -> PathBuf {
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
        ("SLIPWAY__JOBS__AT_ONCE", "0"),
        ("SLIPWAY__SERVR__PORT", "80"),
    ]));

    assert!(
        told.contains("SLIPWAY_ENV is none of") && told.contains("has 5 characters"),
        "{told}"
    );
    assert!(
        told.contains("SLIPWAY__JOBS__AT_ONCE must be") && told.contains("SLIPWAY__SERVR__PORT"),
        "{told}"
    );
}

#[test]
fn a_misspelt_key_and_a_wrong_type_are_reported_by_key() {
    let base = [("SLIPWAY_ENV", "test"), ("SESSION_SECRET", SECRET)];

    let misspelt = faults([base[0], base[1], ("SLIPWAY__SERVER__PROT", "1")].into());
    assert!(
        misspelt.contains("SLIPWAY__SERVER__PROT sets no key")
            && misspelt.contains("did you mean SLIPWAY__SERVER__PORT?"),
        "{misspelt}"
    );

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
fn a_deployed_environment_takes_no_disk_that_nobody_declared_durable() {
    let on_disk = |environment, durable| {
        Environ::from([
            ("SLIPWAY_ENV", environment),
            ("SESSION_SECRET", SECRET),
            ("SLIPWAY__UPLOADS__STORE", "disk"),
            ("SLIPWAY__UPLOADS__DISK_DURABLE", durable),
        ])
    };

    let told = faults(on_disk("production", "false"));

    assert!(told.contains("uploads.disk_durable = true"), "{told}");
    for (environment, durable) in [("production", "true"), ("development", "false")] {
        let settings = Settings::load(&on_disk(environment, durable), &folder()).unwrap();
        assert_eq!(settings.uploads.store, StoreKind::Disk, "{environment}");
    }
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

#[test]
fn the_table_of_keys_and_the_types_agree() {
    // At both bounds of every number each type must take what the table takes.
    for bound in [0, 1] {
        let mut environ = vec![
            ("SLIPWAY_ENV".to_owned(), "test".to_owned()),
            ("SESSION_SECRET".to_owned(), SECRET.to_owned()),
        ];
        for key in crate::known::KEYS {
            if let crate::known::Kind::Whole(least, most) = key.kind {
                environ.push((key.variable(), [least, most][bound].to_string()));
            }
        }

        let loaded = Settings::load(&environ.into_iter().collect(), &folder());

        assert!(loaded.is_ok(), "{loaded:?}");
    }
}

#[test]
fn every_key_has_a_built_in_value() {
    let layers = Layers::read(&Environ::default(), Path::new("/nonexistent"), None);

    for key in crate::known::KEYS {
        assert_eq!(layers.stack(key).len(), 1, "{}", key.name);
    }
    assert!(layers.faults.is_empty(), "{:?}", layers.faults);
}

#[test]
fn every_word_of_the_table_is_one_that_the_types_know() {
    for key in crate::known::KEYS {
        let crate::known::Kind::Word(words) = key.kind else {
            continue;
        };
        for word in words {
            let variable = key.variable();
            let environ = [
                ("SLIPWAY_ENV", "test"),
                ("SESSION_SECRET", SECRET),
                ("S3_BUCKET", "b"),
                ("AWS_ACCESS_KEY_ID", "i"),
                ("AWS_SECRET_ACCESS_KEY", "s"),
                (variable.as_str(), *word),
            ];

            let loaded = Settings::load(&environ.into(), &folder());

            assert!(loaded.is_ok(), "{word}: {loaded:?}");
        }
    }
}
