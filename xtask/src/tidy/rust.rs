//! Rules for Rust files: length, header, invariants, tests that really run.
//!
//! Lines are compared, nothing is parsed: an attribute counts where it starts a line,
//! which is where rustfmt puts it.

use super::{Finding, Source};

/// Beyond this a file has more than one subject.
const LINES_MAX: usize = 500;

/// The rooms in which `unsafe` code may live: where libpq, which speaks C, is asked how it
/// reads an address.
const UNSAFE_ROOMS: [&str; 1] = ["crates/config/src/address/libpq.rs"];

/// Findings in one Rust file.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |line: usize, what: String| found.push(Finding::new(&source.path, line, what));
    let count = source.text.lines().count();
    if count > LINES_MAX {
        say(
            LINES_MAX + 1,
            format!("the file has {count} lines, split it into parts of {LINES_MAX} at most"),
        );
    }
    if !source.text.starts_with("//! ") {
        say(
            1,
            "no header, start with `//!` and what the file is and never does".to_owned(),
        );
    }
    let header = source
        .text
        .lines()
        .take_while(|line| line.starts_with("//!"));
    if source.path.ends_with("/lib.rs") && !header.clone().any(|line| line.contains("Invariants")) {
        say(
            1,
            "no invariants, add a paragraph `//! Invariants:` to the header".to_owned(),
        );
    }
    let may_be_unsafe = UNSAFE_ROOMS.contains(&source.path.as_str());
    for (line, text) in (1..).zip(source.text.lines()) {
        let text = text.trim_start();
        if text.contains("expect(unsafe_code")
            && !may_be_unsafe
            && source.path.starts_with("crates/")
        {
            say(
                line,
                format!(
                    "unsafe code, which lives in {} alone",
                    UNSAFE_ROOMS.join(" and ")
                ),
            );
        }
        if text.starts_with("#[ignore") {
            say(line, "an ignored test, make it run or remove it".to_owned());
        }
        if text.starts_with("#[should_panic") {
            say(
                line,
                "`should_panic` accepts any panic, check the error itself".to_owned(),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{LINES_MAX, check};
    use crate::tidy::Source;

    fn judged(path: &str, text: &str) -> Vec<String> {
        check(&Source::of(path, text))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_file_needs_a_header() {
        assert!(judged("a.rs", "//! What it is.\n\nfn a() {}\n").is_empty());
        assert!(judged("a.rs", "fn a() {}\n")[0].starts_with("a.rs:1: no header"));
        assert!(judged("a.rs", "\n//! Late.\n")[0].starts_with("a.rs:1: no header"));
    }

    #[test]
    fn a_library_states_its_invariants() {
        let with = "//! Words.\n//!\n//! Invariants:\n//! - none\n";
        assert!(judged("crates/core/src/lib.rs", with).is_empty());
        let without = "//! Words.\n\n// Invariants\n";
        assert!(judged("crates/core/src/lib.rs", without)[0].contains("no invariants"));
    }

    #[test]
    fn a_long_file_is_named_with_its_length() {
        let fits = format!("//! Long.\n{}", "\n".repeat(LINES_MAX - 1));
        assert!(judged("a.rs", &fits).is_empty());
        assert!(
            judged("a.rs", &format!("{fits}\n"))[0].starts_with("a.rs:501: the file has 501 lines")
        );
    }

    #[test]
    fn unsafe_code_has_one_room() {
        let text = "//! Fast.\n#![expect(unsafe_code, reason = \"speed\")]\n";
        assert!(judged("crates/config/src/address/libpq.rs", text).is_empty());
        assert!(
            judged("crates/db/src/gate.rs", text)[0].starts_with("crates/db/src/gate.rs:2: unsafe")
        );
    }

    #[test]
    fn tests_that_do_not_run_or_accept_anything_are_found() {
        let text = "//! Tests.\n    #[ignore = \"slow\"]\n    #[should_panic]\n// #[ignore]\n";
        let found = judged("a.rs", text);
        assert_eq!(found.len(), 2);
        assert!(
            found[0].starts_with("a.rs:2") && found[1].starts_with("a.rs:3"),
            "{found:?}"
        );
    }
}
