//! `cargo xtask layers`: may each crate use what it uses?
//!
//! The two tables below are the architecture; everything else here only compares. All
//! kinds of dependencies count, because a layer that tests reach through is no layer. A
//! new arrow is a decision: it is added here, with the reason in ARCHITECTURE.md.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::Value;

use crate::say;
use crate::workspace::Workspace;

/// Which of our crates each of our crates may use.
const ARROWS: [(&str, &[&str]); 9] = [
    ("slipway-core", &[]),
    ("slipway-config", &["slipway-core"]),
    ("slipway-db", &["slipway-core", "slipway-config"]),
    ("slipway-realtime", &["slipway-core"]),
    (
        "slipway-ingest",
        &["slipway-core", "slipway-config", "slipway-db"],
    ),
    (
        "slipway-web",
        &[
            "slipway-core",
            "slipway-config",
            "slipway-ingest",
            "slipway-realtime",
        ],
    ),
    (
        "slipway",
        &[
            "slipway-core",
            "slipway-config",
            "slipway-db",
            "slipway-ingest",
            "slipway-realtime",
            "slipway-web",
        ],
    ),
    ("slipway-tests", &["slipway-core", "slipway-db"]),
    ("xtask", &[]),
];

/// Outside crates that belong to a layer: who may use them, and what others do instead.
const OWNERS: [(&str, &[&str], &str); 15] = [
    ("diesel", &["slipway-db"], SQL),
    ("diesel_migrations", &["slipway-db"], SQL),
    ("r2d2", &["slipway-db"], SQL),
    // config reads addresses with the parser of the library that db will connect with.
    ("pq-sys", &["slipway-db", "slipway-config"], SQL),
    ("openssl-sys", &["slipway-db"], SQL),
    (
        "config",
        &["slipway-config"],
        "take a settings struct of slipway-config",
    ),
    (
        "argon2",
        &["slipway-ingest"],
        "call the password functions of slipway-ingest",
    ),
    ("object_store", &["slipway-ingest"], STORE),
    (
        "actix-web",
        &[
            "slipway-web",
            "slipway-realtime",
            "slipway",
            "slipway-tests",
        ],
        HTTP,
    ),
    ("actix-multipart", &["slipway-web"], HTTP),
    ("actix-ws", &["slipway-web", "slipway-realtime"], HTTP),
    ("askama", &["slipway-web"], HTTP),
    ("governor", &["slipway-web"], HTTP),
    (
        "clap",
        &["slipway"],
        "take parsed values, the command line belongs to the binary",
    ),
    (
        "tracing-subscriber",
        &["slipway"],
        "emit events with `tracing`, the binary decides where they go",
    ),
];

const SQL: &str = "add a method to slipway-db";
const STORE: &str = "read and write through the stores of slipway-ingest";
const HTTP: &str = "give slipway-web a plain value to show";

/// Prints every forbidden arrow; true when there is none.
pub(crate) fn report(workspace: &Workspace) -> Result<bool> {
    let packages = packages(&workspace.metadata)?;
    let mut found = Vec::new();
    for package in &packages {
        let manifest = workspace.shown(Path::new(&package.manifest));
        found.extend(
            findings(package)
                .into_iter()
                .map(|finding| format!("{manifest}: {finding}")),
        );
    }
    found.iter().for_each(say::out);
    if found.is_empty() {
        let arrows: usize = packages.iter().map(|package| package.uses.len()).sum();
        say::note(format_args!(
            "layers: {} crates, {arrows} arrows, none forbidden",
            packages.len()
        ));
    }
    Ok(found.is_empty())
}

/// One of our crates and the names of all it depends on.
#[derive(Debug)]
struct Package {
    name: String,
    manifest: String,
    uses: Vec<String>,
}

fn packages(metadata: &Value) -> Result<Vec<Package>> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let Some(packages) = metadata["packages"].as_array() else {
        bail!("cargo's metadata lists no packages, update cargo");
    };
    Ok(packages
        .iter()
        .map(|package| {
            let uses = package["dependencies"].as_array().into_iter().flatten();
            let mut uses: Vec<String> = uses.map(|used| text(&used["name"])).collect();
            uses.sort();
            uses.dedup();
            Package {
                name: text(&package["name"]),
                manifest: text(&package["manifest_path"]),
                uses,
            }
        })
        .collect())
}

fn findings(package: &Package) -> Vec<String> {
    let name = &package.name;
    let Some((_, allowed)) = ARROWS.iter().find(|(from, _)| from == name) else {
        return vec![format!(
            "{name} has no place in the layers, add it to xtask/src/layers.rs and say why in ARCHITECTURE.md"
        )];
    };
    package
        .uses
        .iter()
        .filter_map(|used| forbidden(name, allowed, used))
        .collect()
}

fn forbidden(name: &str, allowed: &[&str], used: &str) -> Option<String> {
    // A crate may name itself to turn on a feature for its own tests.
    if used == name {
        return None;
    }
    if ARROWS.iter().any(|(ours, _)| *ours == used) {
        let remedy = remedy(name, used);
        return (!allowed.contains(&used)).then(|| format!("{name} must not use {used}, {remedy}"));
    }
    let (_, owners, remedy) = OWNERS.iter().find(|(outside, ..)| *outside == used)?;
    (!owners.contains(&name)).then(|| {
        format!(
            "{name} must not use {used} (it belongs to {}), {remedy}",
            owners.join(", ")
        )
    })
}

/// What to do instead of an arrow between two of our crates.
fn remedy(from: &str, to: &str) -> &'static str {
    match (from, to) {
        ("xtask", _) => "run the built binary and read what it prints",
        (_, "xtask") => "move what both need into the crate itself",
        (_, "slipway") => "nothing stands above the binary, move the code into a crate below it",
        ("slipway-core", _) => "the words know nobody, let the other crate use them",
        ("slipway-tests", _) => "test through the running server as a user would",
        ("slipway-web", "slipway-db") => "add a rule to slipway-ingest that answers the question",
        ("slipway-realtime", _) => "let the caller hand in what it needs as words of slipway-core",
        (_, "slipway-tests") => "write the test in tests/",
        _ => "turn the call around: the lower crate returns a fact, the upper one acts on it",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{ARROWS, Package, findings, packages};

    fn judged(name: &str, uses: &[&str]) -> Vec<String> {
        findings(&Package {
            name: name.to_owned(),
            manifest: String::new(),
            uses: uses.iter().map(|used| (*used).to_owned()).collect(),
        })
    }

    #[test]
    fn the_table_has_no_circle() {
        // Each crate may use only crates listed before it.
        for (at, (name, allowed)) in ARROWS.iter().enumerate() {
            for used in *allowed {
                let place = ARROWS.iter().position(|(other, _)| other == used).unwrap();
                assert!(place < at, "{name} -> {used} points upwards");
            }
        }
    }

    #[test]
    fn the_arrows_that_matter_most_are_forbidden() {
        let forbidden = [
            ("slipway-web", "slipway-db"),
            ("slipway-db", "slipway-ingest"),
            ("slipway-db", "slipway-realtime"),
            ("slipway-db", "slipway-web"),
            ("slipway-realtime", "slipway-db"),
            ("slipway-ingest", "slipway-web"),
            ("slipway-ingest", "slipway-realtime"),
            ("slipway-tests", "slipway"),
            ("xtask", "slipway-core"),
            ("slipway-web", "diesel"),
            ("slipway-ingest", "actix-web"),
            ("slipway", "config"),
        ];
        for (from, to) in forbidden {
            let found = judged(from, &[to]);
            assert_eq!(found.len(), 1, "{from} -> {to}");
            assert!(
                found[0].contains(to) && found[0].contains(", "),
                "{}",
                found[0]
            );
        }
    }

    #[test]
    fn allowed_arrows_and_unowned_crates_pass() {
        assert!(
            judged(
                "slipway-web",
                &["slipway-ingest", "actix-web", "serde", "uuid"]
            )
            .is_empty()
        );
        assert!(judged("slipway-db", &["slipway-core", "diesel", "r2d2"]).is_empty());
        assert!(judged("slipway-db", &["slipway-db"]).is_empty());
    }

    #[test]
    fn a_crate_without_a_place_is_an_error() {
        assert_eq!(judged("slipway-extra", &[]).len(), 1);
    }

    #[test]
    fn every_kind_of_dependency_counts_under_its_real_name() {
        let metadata = json!({ "packages": [{
            "name": "slipway-web",
            "manifest_path": "/checkout/crates/web/Cargo.toml",
            "dependencies": [
                { "name": "slipway-db", "kind": "dev", "rename": "rows" },
                { "name": "diesel", "kind": "build" },
                { "name": "slipway-db", "kind": null },
            ],
        }]});
        let packages = packages(&metadata).unwrap();
        assert_eq!(packages[0].uses, ["diesel", "slipway-db"]);
        assert_eq!(findings(&packages[0]).len(), 2);
    }
}
