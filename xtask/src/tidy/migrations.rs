//! Rules for `migrations/`: names that sort, a way back, heads that say what is at stake.
//!
//! Whether a change is safe beside the previous release is for its author to say; here
//! it is only checked that it was said. Each migration runs in a transaction of the
//! migrator, so it may not open or close one itself.

use std::collections::BTreeMap;

use super::{Finding, Source};

/// How the first three lines of an `up.sql` start.
const HEADS: [&str; 3] = [
    "-- What: ",
    "-- Safe beside the previous release: ",
    "-- Locks: ",
];
/// Digits of a version: the minute and second it was made, in UTC.
const VERSION_DIGITS: usize = 14;
/// Statements that belong to the migrator.
const TRANSACTIONS: [&str; 5] = [
    "BEGIN",
    "COMMIT",
    "ROLLBACK",
    "START TRANSACTION",
    "END TRANSACTION",
];
/// The one key that `metadata.toml` may set.
const KEY: &str = "run_in_transaction";

/// Findings over all migrations.
pub(super) fn check(sources: &[Source]) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut folders: BTreeMap<&str, Vec<&Source>> = BTreeMap::new();
    for source in sources {
        let Some(rest) = source.path.strip_prefix("migrations/") else {
            continue;
        };
        if let Some((folder, _)) = rest.split_once('/') {
            folders.entry(folder).or_default().push(source);
        }
    }
    let mut versions: BTreeMap<&str, &str> = BTreeMap::new();
    for (folder, files) in &folders {
        check_folder(folder, files, &mut found);
        if let Some(other) = version(folder).and_then(|version| versions.insert(version, folder)) {
            let what = format!("the same version as {other}, give it one of its own");
            found.push(Finding::new(&format!("migrations/{folder}"), 1, what));
        }
    }
    found
}

fn check_folder(folder: &str, files: &[&Source], found: &mut Vec<Finding>) {
    let place = format!("migrations/{folder}");
    if version(folder).is_none() {
        let what =
            "not a migration's name, write 14 digits (date and time), `_` and lower case words";
        found.push(Finding::new(&place, 1, what));
    }
    for name in ["up.sql", "down.sql"] {
        if !files
            .iter()
            .any(|file| file.path == format!("{place}/{name}"))
        {
            found.push(Finding::new(&place, 1, format!("no {name}, add it")));
        }
    }
    for file in files {
        match file.path.rsplit_once('/').map(|(_, name)| name) {
            Some("up.sql") => check_up(file, found),
            Some("down.sql") => {}
            Some("metadata.toml") => check_metadata(file, found),
            _ => found.push(Finding::new(
                &file.path,
                1,
                "not a part of a migration, move it away",
            )),
        }
    }
}

fn check_up(file: &Source, found: &mut Vec<Finding>) {
    let mut lines = file.text.lines();
    for (line, head) in (1..).zip(HEADS) {
        let said = lines.next().and_then(|text| text.strip_prefix(head));
        if said.is_none_or(|said| said.trim().is_empty()) {
            found.push(Finding::new(
                &file.path,
                line,
                format!("no head, write `{head}...`"),
            ));
        }
    }
    for (line, text) in (1..).zip(file.text.lines()) {
        let statement = text.trim().trim_end_matches(';').to_ascii_uppercase();
        let first = TRANSACTIONS.iter().find(|word| {
            statement
                .strip_prefix(**word)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        // `BEGIN` alone also opens a block of a function; a semicolon tells them apart.
        if let Some(word) = first
            && text.contains(';')
        {
            let what = format!("{word} is the migrator's to say, remove it");
            found.push(Finding::new(&file.path, line, what));
        }
    }
}

fn check_metadata(file: &Source, found: &mut Vec<Finding>) {
    let keys: Vec<&str> = file
        .text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split_once('=').map_or(line, |(key, _)| key.trim()))
        .collect();
    if keys != [KEY] {
        let what = format!("the keys are {keys:?}, it must set {KEY} and nothing else");
        found.push(Finding::new(&file.path, 1, what));
    }
}

fn version(folder: &str) -> Option<&str> {
    let (version, name) = folder.split_once('_')?;
    let digits =
        version.len() == VERSION_DIGITS && version.bytes().all(|digit| digit.is_ascii_digit());
    let words = !name.is_empty()
        && name
            .bytes()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == b'_');
    (digits && words).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::{HEADS, check, version};
    use crate::tidy::Source;

    const FOLDER: &str = "migrations/20260822101500_create_uploads";

    fn heads() -> String {
        HEADS.iter().map(|head| format!("{head}said.\n")).collect()
    }

    fn judged(up: &str, others: &[(&str, &str)]) -> Vec<String> {
        let mut sources = vec![
            Source::of(&format!("{FOLDER}/up.sql"), up),
            Source::of(&format!("{FOLDER}/down.sql"), "DROP TABLE uploads;\n"),
            Source::of("migrations/README.md", "How to.\n"),
        ];
        sources.extend(others.iter().map(|(path, text)| Source::of(path, text)));
        check(&sources).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_complete_migration_passes() {
        let up = format!(
            "{}\nCREATE FUNCTION f() RETURNS trigger AS $$\nBEGIN\n  RETURN NEW;\nEND;\n$$;\n",
            heads()
        );
        assert!(judged(&up, &[]).is_empty());
        let metadata = format!("{FOLDER}/metadata.toml");
        assert!(judged(&up, &[(&metadata, "# Why.\nrun_in_transaction = false\n")]).is_empty());
    }

    #[test]
    fn names_are_checked() {
        assert_eq!(
            version("20260822101500_create_uploads"),
            Some("20260822101500")
        );
        for bad in [
            "2026_create",
            "20260822101500",
            "20260822101500_",
            "20260822101500_Create",
            "2026082210150x_a",
        ] {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn missing_files_and_heads_are_named() {
        let lonely = check(&[Source::of("migrations/20260822101500_a/up.sql", &heads())]);
        assert_eq!(lonely.len(), 1);
        assert!(lonely[0].to_string().ends_with("no down.sql, add it"));

        let found = judged("-- What: tables.\n-- Locks: none.\n", &[]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("up.sql:2: no head"));
    }

    #[test]
    fn transactions_belong_to_the_migrator() {
        let found = judged(&format!("{}BEGIN;\nSELECT 1;\nCOMMIT;\n", heads()), &[]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("up.sql:4: BEGIN"));
    }

    #[test]
    fn two_migrations_never_share_a_version() {
        let twin = "migrations/20260822101500_another";
        let (up, down) = (format!("{twin}/up.sql"), format!("{twin}/down.sql"));
        let found = judged(&heads(), &[(&up, &heads()), (&down, "SELECT 1;\n")]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].contains("the same version as"));
    }

    #[test]
    fn metadata_has_one_key() {
        let metadata = format!("{FOLDER}/metadata.toml");
        let found = judged(
            &heads(),
            &[(&metadata, "run_in_transaction = false\nextra = 1\n")],
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }
}
