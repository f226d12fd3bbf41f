//! Rules for every text file: no loose ends, nothing of one machine, whole lines.
//!
//! What is searched for is spelled in two halves here, so that this file obeys itself.

use super::{Finding, Source};

/// Beyond this a script has more than one subject.
const SCRIPT_LINES_MAX: usize = 500;
/// A map that is not read is of no use, and nobody reads more.
const ARCHITECTURE_LINES_MAX: usize = 150;
/// Words for unfinished work; each needs the number of an issue.
const LOOSE_ENDS: [&str; 2] = [concat!("TO", "DO"), concat!("FIX", "ME")];
/// Where somebody's own files are. A `*` stands for one name.
const HOMES: [&str; 4] = [
    concat!("/ro", "ot/"),
    concat!("/wo", "rk/"),
    concat!("/ho", "me/*/"),
    concat!("/Us", "ers/*/"),
];
/// Hosts of package registries: mirrors differ, so clients know them and we do not.
const REGISTRIES: [&str; 8] = [
    concat!("crates", ".io"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("yarnpkg", ".com"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("deb.debian", ".org"),
    concat!("archive.ubuntu", ".com"),
];
/// Files that are data, whose bytes are as they are for a reason.
const DATA: [&str; 6] = [".csv", ".tsv", ".txt", ".svg", ".lock", ".diff"];

/// Findings in one file of any kind.
pub(super) fn check(source: &Source) -> Vec<Finding> {
    let path = source.path.as_str();
    let mut found = Vec::new();
    let mut say = |line: usize, what: String| found.push(Finding::new(path, line, what));
    for (line, text) in (1..).zip(source.text.lines()) {
        for what in in_line(path, text) {
            say(line, what);
        }
    }
    let count = source.text.lines().count();
    if !is_data(path) && !source.text.is_empty() && !source.text.ends_with('\n') {
        say(count, "no newline at the end, add one".to_owned());
    }
    if is_script(path) {
        if count > SCRIPT_LINES_MAX {
            say(
                SCRIPT_LINES_MAX + 1,
                format!(
                    "the script has {count} lines, split it into parts of {SCRIPT_LINES_MAX} at most"
                ),
            );
        }
        if !["//", "/*"]
            .iter()
            .any(|comment| source.text.starts_with(comment))
        {
            say(
                1,
                "no header, start with a comment on what the script is".to_owned(),
            );
        }
    }
    if path == "ARCHITECTURE.md" && count > ARCHITECTURE_LINES_MAX {
        say(
            ARCHITECTURE_LINES_MAX + 1,
            format!("the map has {count} lines, keep it to {ARCHITECTURE_LINES_MAX}"),
        );
    }
    found
}

fn in_line(path: &str, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    if !is_data(path) && text.ends_with([' ', '\t', '\r']) {
        found.push("white space at the end of the line, remove it".to_owned());
    }
    for word in LOOSE_ENDS {
        if has_loose_end(text, word) {
            found.push(format!(
                "{word} without an issue, write `{word}(#12)` or do it"
            ));
        }
    }
    if let Some(home) = HOMES.iter().find(|home| names_home(text, home)) {
        found.push(format!(
            "a path under {home} exists on one machine only, make it relative"
        ));
    }
    if path != "Cargo.lock"
        && let Some(host) = REGISTRIES.iter().find(|host| text.contains(**host))
    {
        found.push(format!(
            "{host} is the client's business, name the package only"
        ));
    }
    found
}

/// `word` as a word of its own, not followed by `(#` and a number.
fn has_loose_end(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(word).unwrap_or(rest);
        let inside = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
        let whole = !before.ends_with(inside) && !after.starts_with(inside);
        let issue = after
            .strip_prefix("(#")
            .and_then(|rest| rest.split_once(')'));
        let numbered = issue.is_some_and(|(number, _)| number.parse::<u32>().is_ok());
        whole && !numbered
    })
}

/// Does an absolute path in `text` lead below `home`?
fn names_home(text: &str, home: &str) -> bool {
    let (prefix, any_name) = match home.strip_suffix("*/") {
        Some(prefix) => (prefix, true),
        None => (home, false),
    };
    text.match_indices(prefix).any(|(at, _)| {
        let (before, rest) = text.split_at(at);
        let after = rest.strip_prefix(prefix).unwrap_or(rest);
        // `target/work/` and `example.com/work/` are no absolute paths.
        let starts =
            !before.ends_with(|letter: char| letter.is_alphanumeric() || ".-_}*".contains(letter));
        let named = after.split_once('/').is_some_and(|(name, _)| {
            !name.is_empty()
                && name
                    .chars()
                    .all(|letter| letter.is_alphanumeric() || "-_.".contains(letter))
        });
        starts && (named || !any_name)
    })
}

fn is_script(path: &str) -> bool {
    path.ends_with(".js") || path.ends_with(".mjs")
}

fn is_data(path: &str) -> bool {
    DATA.iter().any(|ending| path.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use super::{HOMES, LOOSE_ENDS, REGISTRIES, check, has_loose_end, names_home};
    use crate::tidy::Source;

    fn judged(path: &str, text: &str) -> Vec<String> {
        check(&Source::of(path, text))
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn loose_ends_need_an_issue() {
        let [todo, _] = LOOSE_ENDS;
        for bad in [
            format!("// {todo}: later"),
            format!("{todo}(me)"),
            format!("{todo}(#)"),
            format!("{todo}(#x)"),
        ] {
            assert!(has_loose_end(&bad, todo), "{bad}");
        }
        for good in [
            format!("// {todo}(#12): later"),
            format!("MAS{todo}N"),
            "todo!()".to_owned(),
        ] {
            assert!(!has_loose_end(&good, todo), "{good}");
        }
    }

    #[test]
    fn paths_of_one_machine_are_found_and_others_are_not() {
        let [superuser, tree, home, mac] = HOMES;
        let somebody = |home: &str| home.replace('*', "ann");
        assert!(names_home(&format!("cd {superuser}x"), superuser));
        assert!(names_home(&format!("\"{tree}main\""), tree));
        assert!(names_home(&somebody(home), home));
        assert!(names_home(&format!("file://{}x", somebody(mac)), mac));
        assert!(!names_home(&format!("target{tree}x"), tree));
        assert!(!names_home(&format!("http://example.com{tree}x"), tree));
        assert!(!names_home(&home.replace('*', "$USER"), home));
    }

    #[test]
    fn registries_are_named_in_the_lock_file_only() {
        let line = format!("source = \"{}\"\n", REGISTRIES[0]);
        assert!(judged("Cargo.lock", &line).is_empty());
        assert_eq!(judged("README.md", &line).len(), 1);
    }

    #[test]
    fn lines_are_whole_except_in_data() {
        assert_eq!(
            judged("a.md", "one \ntwo"),
            [
                "a.md:1: white space at the end of the line, remove it",
                "a.md:2: no newline at the end, add one",
            ]
        );
        assert!(judged("a.csv", "one \ntwo").is_empty());
        assert!(judged("a.md", "").is_empty());
    }

    #[test]
    fn scripts_have_a_header_and_an_end() {
        assert!(judged("a.mjs", "// What it is.\n").is_empty());
        assert!(judged("a.js", "let a = 1;\n")[0].contains("no header"));
        let long = format!("/* Long. */\n{}", "a();\n".repeat(500));
        assert!(judged("a.js", &long)[0].starts_with("a.js:501: the script has 501 lines"));
    }

    #[test]
    fn the_map_is_short() {
        assert_eq!(judged("ARCHITECTURE.md", &"line\n".repeat(151)).len(), 1);
        assert!(judged("ARCHITECTURE.md", &"line\n".repeat(150)).is_empty());
    }
}
