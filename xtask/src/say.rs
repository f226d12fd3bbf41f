//! How xtask speaks: results on standard output, everything else on standard error.
//!
//! Never `println!`: that panics when the terminal has gone away, and a hang-up is
//! exactly the moment in which servers still have to be stopped.

use std::fmt::Display;
use std::io::Write as _;

/// Prints a line that is the answer to the command.
pub(crate) fn out(line: impl Display) {
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Prints a line about what is happening.
pub(crate) fn note(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// Prints a labelled line, the labels in one column.
pub(crate) fn step(label: &str, line: impl Display) {
    note(format_args!("  {label:<10} {line}"));
}

/// Prints what was left out, and why, where nobody can overlook it.
pub(crate) fn skipped(what: impl Display, why: impl Display) {
    note(format_args!("\nSKIPPED: {what}. {why}\n"));
}

/// Prints what went wrong.
pub(crate) fn error(line: impl Display) {
    note(format_args!("error: {line}"));
}
