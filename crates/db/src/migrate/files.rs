//! The migrations that are compiled into this binary.
//!
//! Diesel's source runs them; the same texts are kept here a second time, because
//! Diesel does not show what it will run, and the hash must be of exactly that.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use diesel::migration::{Migration, MigrationSource};
use diesel::pg::Pg;
use diesel_migrations::{EmbeddedMigrations, embed_migrations};
use sha2::{Digest, Sha256};
use slipway_core::Sha256Digest;

use super::MigrateError;

const EMBEDDED: EmbeddedMigrations = embed_migrations!("../../migrations");

/// Name of the folder and text of its `up.sql`, by name.
const TEXTS: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/migration_texts.rs"));

/// How the line of a migration begins that says what it is for.
const WHAT: &str = "-- What: ";

/// A migration that can run, and what is known of it beforehand.
pub(super) struct File {
    /// The digits that its name begins with.
    pub(super) version: String,
    /// Its purpose, in its author's words.
    pub(super) what: String,
    /// Of the text that runs.
    pub(super) sha256: Sha256Digest,
    /// What runs.
    pub(super) migration: Box<dyn Migration<Pg>>,
}

impl File {
    pub(super) fn new(migration: Box<dyn Migration<Pg>>, text: &str) -> Self {
        let what = text.lines().find_map(|line| line.strip_prefix(WHAT));
        Self {
            version: migration.name().version().to_string(),
            what: what.unwrap_or_default().trim().to_owned(),
            sha256: sha256(text),
            migration,
        }
    }
}

/// Every migration of this binary, by version.
pub(super) fn compiled_in() -> Result<Vec<File>, MigrateError> {
    let broken = |why: String| MigrateError::Broken { why };
    let texts: BTreeMap<&str, &str> = TEXTS.iter().copied().collect();
    let migrations =
        MigrationSource::<Pg>::migrations(&EMBEDDED).map_err(|error| broken(error.to_string()))?;
    let mut files = Vec::with_capacity(migrations.len());
    for migration in migrations {
        let name = migration.name().to_string();
        let text = texts
            .get(name.as_str())
            .ok_or_else(|| broken(format!("{name} has no text")))?;
        files.push(File::new(migration, text));
    }
    files.sort_by(|a, b| a.version.cmp(&b.version));
    Ok(files)
}

/// The versions of this binary and their hashes. Made once: readiness is asked for
/// every few seconds, and the texts never change.
pub(super) static HASHES: LazyLock<BTreeMap<String, Sha256Digest>> = LazyLock::new(|| {
    TEXTS
        .iter()
        .filter_map(|(name, text)| Some((name.split_once('_')?.0, text)))
        .map(|(version, text)| (version.to_owned(), sha256(text)))
        .collect()
});

fn sha256(text: &str) -> Sha256Digest {
    Sha256Digest::from_bytes(Sha256::digest(text.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hashed_is_what_runs() {
        let files = compiled_in().unwrap();

        let hashes: BTreeMap<_, _> = files
            .iter()
            .map(|file| (file.version.clone(), file.sha256))
            .collect();
        assert_eq!(hashes, *HASHES);
        assert_eq!(files.len(), TEXTS.len());
        assert!(files.iter().all(|file| !file.what.is_empty()));
    }
}
