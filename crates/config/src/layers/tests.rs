//! Where values come from, and what is said of those that cannot be used.

use std::path::PathBuf;

use super::*;

/// As seen from the crate's own folder, where cargo starts its tests.
fn fixtures(name: &str) -> PathBuf {
    Path::new("fixtures").join(name)
}

fn read(environ: impl Into<Environ>, folder: &str) -> Layers {
    Layers::read(&environ.into(), &fixtures(folder), Some(Environment::Test))
}

/// The origins of a key from the winner inwards, files by their last name.
fn origins(layers: &Layers, key: &str) -> Vec<String> {
    let stack = layers.stack(Key::called(key).unwrap());
    let origins = stack.iter().rev().map(|given| given.origin.to_string());
    origins.map(|origin| last_name(&origin)).collect()
}

fn last_name(text: &str) -> String {
    text.rsplit('/').next().unwrap_or_default().to_owned()
}

fn told(layers: &Layers) -> Vec<String> {
    let faults = layers.faults.iter();
    faults
        .map(|Fault(fault)| fault.replace("fixtures/", ""))
        .collect()
}

#[test]
fn each_layer_keeps_its_values_with_their_origin() {
    let environ = [("PORT", "4003"), ("SLIPWAY__SERVER__PORT", "4004")];

    let layers = read(environ, "sound");

    assert_eq!(
        origins(&layers, "server.port"),
        [
            "SLIPWAY__SERVER__PORT",
            "PORT",
            "test.toml:1",
            "default.toml:3",
            "built-in"
        ]
    );
    assert_eq!(
        origins(&layers, "server.workers"),
        ["default.toml:4", "built-in"]
    );
    assert_eq!(
        origins(&layers, "log.filter"),
        ["default.toml:7", "built-in"]
    );
    assert_eq!(origins(&layers, "jobs.inline"), ["built-in"]);
    assert!(layers.faults.is_empty(), "{:?}", layers.faults);
}

#[test]
fn the_outermost_value_wins() {
    let merged = read([("WEB_CONCURRENCY", "5")], "sound").merged().unwrap();

    assert_eq!(merged.get_int("server.port").unwrap(), 4002);
    assert_eq!(merged.get_int("server.workers").unwrap(), 5);
    assert_eq!(merged.get_string("log.filter").unwrap(), "warn");
}

#[test]
fn every_fault_of_every_file_is_told_with_its_line_and_what_was_meant() {
    let layers = read(Environ::default(), "faulty");

    assert_eq!(
        told(&layers),
        [
            "log in faulty/default.toml:2 must be a section, as [log]",
            "session_secret in faulty/default.toml:3 is no key that there is",
            "server.prot in faulty/default.toml:7 is no key that there is; did you mean server.port?",
            "server.port in faulty/default.toml:8 must be a whole number from 0 to 65535",
            "server.workers in faulty/default.toml:9 must be a whole number from 1 to 65535",
            "sesions.idle_seconds in faulty/default.toml:12 is no key that there is; \
             did you mean sessions.idle_seconds?",
            "job in faulty/default.toml:14 is no key that there is; did you mean jobs?",
            "uploads.bytes_max in faulty/test.toml:2 must be a whole number of at least 1",
            "uploads.store in faulty/test.toml:3 must be postgres or disk or s3",
        ]
    );
}

#[test]
fn a_file_that_is_no_toml_is_told_by_line_and_hides_no_other_fault() {
    let layers = read([("WEB_CONCURRENCY", "many")], "broken");

    assert_eq!(
        told(&layers),
        [
            "broken/default.toml:2 is not valid TOML",
            "WEB_CONCURRENCY, which sets server.workers, must be a whole number from 1 to 65535",
        ]
    );
}

#[test]
fn misspelt_variables_are_told_and_those_of_others_are_left_alone() {
    let layers = read(
        [
            ("SLIPWAY__SERVR__PORT", "1"),
            ("SLIPWAY__SERVER_PORT", "1"),
            ("SLIPWAY_SERVER__PORT", "1"),
            ("SLIPWAY__server__port", "1"),
            ("SLIPWAY__SOMETHING__ELSE", "1"),
            ("SLIPWAY__JOBS__INLIEN", ""),
            ("SLIPWAY_BIN", "/app/slipway"),
            ("SLIPWAYS__SERVER__PORT", "1"),
        ],
        "sound",
    );

    let meant = "; did you mean SLIPWAY__SERVER__PORT?";
    assert_eq!(
        told(&layers),
        [
            format!("the variable SLIPWAY_SERVER__PORT sets no key that there is{meant}"),
            format!("the variable SLIPWAY__SERVER_PORT sets no key that there is{meant}"),
            format!("the variable SLIPWAY__SERVR__PORT sets no key that there is{meant}"),
            "the variable SLIPWAY__SOMETHING__ELSE sets no key that there is".to_owned(),
            format!("the variable SLIPWAY__server__port sets no key that there is{meant}"),
        ]
    );
}

#[test]
fn an_unusable_value_is_passed_over_so_that_the_rest_can_be_looked_at() {
    let layers = read([("SLIPWAY__SERVER__PORT", "many")], "sound");

    assert_eq!(
        told(&layers),
        ["SLIPWAY__SERVER__PORT must be a whole number from 0 to 65535"]
    );
    let merged = layers.merged().unwrap();
    assert_eq!(merged.get_int("server.port").unwrap(), 4002);
}

#[test]
fn no_fault_and_no_debug_output_shows_a_value() {
    let environ = [
        ("PORT", "canary"),
        ("RUST_LOG", "canary"),
        ("SLIPWAY__LOG__FORMAT", "canary"),
        ("SLIPWAY__SESSION__SECRET", "canary"),
    ];
    for folder in ["faulty", "broken"] {
        let layers = read(environ, folder);

        let shown = format!("{layers:?}");
        assert!(layers.faults.len() > 3, "{shown}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
