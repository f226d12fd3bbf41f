//! Counts test results from what test runners print.
//!
//! The runners' own closing lines are read, never single tests, so the sum is the same
//! that a reader of the output would make. A line that is not understood counts nothing.

use std::fmt;
use std::ops::AddAssign;

/// How many tests passed, failed and were left out.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Tally {
    /// Tests that did what they say.
    pub(crate) passed: u64,
    /// Tests, or whole suites, that did not.
    pub(crate) failed: u64,
    /// Tests, or whole suites, that were not run.
    pub(crate) skipped: u64,
}

impl Tally {
    /// A test that ended well has said that it could not be made.
    pub(crate) fn skip_one(&mut self) {
        self.passed = self.passed.saturating_sub(1);
        self.skipped += 1;
    }

    /// A suite that could not run to its end.
    pub(crate) const BROKEN: Tally = Tally {
        passed: 0,
        failed: 1,
        skipped: 0,
    };
    /// A suite that was left out.
    pub(crate) const SKIPPED: Tally = Tally {
        passed: 0,
        failed: 0,
        skipped: 1,
    };

    /// True when something was tested and nothing failed.
    pub(crate) fn is_good(self) -> bool {
        self.passed > 0 && self.failed == 0
    }

    /// A runner that ended badly without naming a failed test has failed as a whole.
    pub(crate) fn ended(mut self, well: bool) -> Tally {
        if !well && self.failed == 0 {
            self.failed = 1;
        }
        self
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed", self.passed, self.failed)?;
        if self.skipped > 0 {
            write!(f, ", {} skipped", self.skipped)?;
        }
        Ok(())
    }
}

/// The closing line of one Rust test binary:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; ...`.
pub(crate) fn of_cargo(line: &str) -> Option<Tally> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let mut tally = Tally::default();
    for part in counts.split("; ") {
        let Some((number, what)) = part.split_once(' ') else {
            continue;
        };
        let Ok(number) = number.parse() else { continue };
        match what {
            "passed" => tally.passed = number,
            "failed" => tally.failed = number,
            "ignored" => tally.skipped = number,
            _ => {}
        }
    }
    Some(tally)
}

/// Takes in one line of Node's runner, whose closing lines are `# pass 3` or `ℹ pass 3`,
/// one count each; the last of a kind is the sum over all files.
pub(crate) fn add_node_line(tally: &mut NodeTally, line: &str) {
    let Some(rest) = line.strip_prefix("# ").or_else(|| line.strip_prefix("ℹ ")) else {
        return;
    };
    let Some((what, number)) = rest.split_once(' ') else {
        return;
    };
    let Ok(number) = number.trim().parse() else {
        return;
    };
    match what {
        "pass" => tally.passed = number,
        "fail" => tally.failed = number,
        "cancelled" => tally.cancelled = number,
        "skipped" => tally.skipped = number,
        "todo" => tally.todo = number,
        _ => {}
    }
}

/// The closing counts of Node's runner.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct NodeTally {
    passed: u64,
    failed: u64,
    cancelled: u64,
    skipped: u64,
    todo: u64,
}

impl From<NodeTally> for Tally {
    fn from(node: NodeTally) -> Tally {
        Tally {
            passed: node.passed,
            // A cancelled test was cut off by a failing or endless one.
            failed: node.failed + node.cancelled,
            skipped: node.skipped + node.todo,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{NodeTally, Tally, add_node_line, of_cargo};

    fn tally(passed: u64, failed: u64, skipped: u64) -> Tally {
        Tally {
            passed,
            failed,
            skipped,
        }
    }

    #[test]
    fn closing_lines_of_cargo_are_counted() {
        let good = "test result: ok. 31 passed; 0 failed; 2 ignored; 0 measured; 4 filtered out; finished in 0.01s";
        let bad = "test result: FAILED. 3 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s";
        assert_eq!(of_cargo(good), Some(tally(31, 0, 2)));
        assert_eq!(of_cargo(bad), Some(tally(3, 2, 0)));
    }

    #[test]
    fn other_lines_count_nothing() {
        for line in [
            "",
            "test a::b ... ok",
            "running 3 tests",
            "test result: ?",
            " test result: ok. 1 passed",
        ] {
            assert_eq!(of_cargo(line), None, "{line:?}");
        }
    }

    #[test]
    fn closing_lines_of_node_are_counted_in_both_styles() {
        let spec = "ℹ tests 6\nℹ suites 1\nℹ pass 3\nℹ fail 1\nℹ cancelled 1\nℹ skipped 1\nℹ todo 0\nℹ duration_ms 9.5";
        let tap = spec
            .replace('ℹ', "#")
            .replace("tests 6", "Subtest: pass 99");
        for text in [spec.to_owned(), tap] {
            let mut node = NodeTally::default();
            text.lines().for_each(|line| add_node_line(&mut node, line));
            assert_eq!(Tally::from(node), tally(3, 2, 1));
        }
    }

    #[test]
    fn the_sum_is_one_plain_line() {
        let mut sum = tally(2, 0, 0);
        assert_eq!(sum.to_string(), "2 passed, 0 failed");
        sum += Tally::SKIPPED;
        sum += Tally::BROKEN;
        assert_eq!(sum.to_string(), "2 passed, 1 failed, 1 skipped");
    }

    #[test]
    fn no_test_at_all_is_not_good_and_neither_is_a_silent_crash() {
        assert!(!tally(0, 0, 3).is_good());
        assert!(tally(1, 0, 3).is_good());
        assert_eq!(tally(5, 0, 0).ended(false), tally(5, 1, 0));
        assert_eq!(tally(5, 2, 0).ended(false), tally(5, 2, 0));
        assert_eq!(tally(5, 0, 0).ended(true), tally(5, 0, 0));
    }
}
