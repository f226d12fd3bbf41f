//! One TOML file as keys, each with the line it stands on.
//!
//! It never judges a key or a value, and no sentence of it contains a value: the
//! parser's own errors quote the line.

use std::io;
use std::path::Path;

use config::ValueKind;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Fault;

/// A key as it stands in a file.
#[derive(Debug)]
pub(super) struct Entry {
    /// With its sections, joined by full stops.
    pub(super) key: String,
    /// Counted from one.
    pub(super) line: usize,
    /// `Nil` for what no key may hold: arrays, dates and numbers out of range.
    pub(super) value: ValueKind,
    /// Whether it is a section without keys.
    pub(super) empty_section: bool,
}

/// What is in a file; nothing if there is none.
///
/// # Errors
/// It cannot be read, or it is not TOML: one fault for each place.
pub(super) fn entries_of(path: &Path) -> Result<Vec<Entry>, Vec<Fault>> {
    match std::fs::read_to_string(path) {
        Ok(text) => entries_in(&text, path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(vec![Fault(format!(
            "{} cannot be read: {}",
            path.display(),
            error.kind()
        ))]),
    }
}

/// What is in a text that was found at `path`.
///
/// # Errors
/// It is not TOML: one fault for each place.
pub(super) fn entries_in(text: &str, path: &Path) -> Result<Vec<Entry>, Vec<Fault>> {
    let (table, errors) = DeTable::parse_recoverable(text);
    if !errors.is_empty() {
        let place = |error: &toml::de::Error| error.span().map_or(0, |span| span.start);
        let mut lines: Vec<usize> = errors
            .iter()
            .map(|error| line_at(text, place(error)))
            .collect();
        lines.sort_unstable();
        lines.dedup();
        let fault = |line| Fault(format!("{}:{line} is not valid TOML", path.display()));
        return Err(lines.into_iter().map(fault).collect());
    }
    let mut entries = Vec::new();
    flatten(text, "", table.get_ref(), &mut entries);
    // As a person reads them; the parser sorts by name.
    entries.sort_by_key(|entry| entry.line);
    Ok(entries)
}

fn flatten(text: &str, section: &str, table: &DeTable<'_>, entries: &mut Vec<Entry>) {
    for (name, value) in table {
        let key = match section {
            "" => name.get_ref().to_string(),
            _ => format!("{section}.{}", name.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) if !inner.is_empty() => flatten(text, &key, inner, entries),
            other => entries.push(Entry {
                key,
                line: line_at(text, name.span().start),
                value: plain(value),
                empty_section: other.is_table(),
            }),
        }
    }
}

fn plain(value: &Spanned<DeValue<'_>>) -> ValueKind {
    match value.get_ref() {
        DeValue::String(text) => ValueKind::from(text.as_ref()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or(ValueKind::Nil, ValueKind::I64),
        DeValue::Boolean(flag) => ValueKind::Boolean(*flag),
        DeValue::Float(_) | DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            ValueKind::Nil
        }
    }
}

fn line_at(text: &str, byte: usize) -> usize {
    let before = text.as_bytes().iter().take(byte);
    1 + before.filter(|byte| **byte == b'\n').count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(text: &str) -> Vec<(String, usize)> {
        let entries = entries_in(text, Path::new("f.toml")).unwrap();
        entries
            .into_iter()
            .map(|entry| (entry.key, entry.line))
            .collect()
    }

    #[test]
    fn a_key_has_its_line_however_it_is_written() {
        let text =
            "a.b = 1\n# [c]\nc = { d = 2 }\ne = \"\"\"\nf = 3\n\"\"\"\n\n[g]\n'h' = 4\n[i]\n";

        let found = entries(text);

        let expected = [("a.b", 1), ("c.d", 3), ("e", 4), ("g.h", 9), ("i", 10)];
        assert_eq!(found, expected.map(|(key, line)| (key.to_owned(), line)));
    }

    #[test]
    fn each_place_that_is_not_toml_is_named_and_not_quoted() {
        let faults = entries_in("a = canary\nb = 1\nc = 'canary\n", Path::new("f.toml"));

        let shown = format!("{faults:?}");
        assert!(
            shown.contains("f.toml:1 is not") && shown.contains("f.toml:3 is not"),
            "{shown}"
        );
        assert!(!shown.contains("canary"), "{shown}");
    }

    #[test]
    fn a_key_that_is_given_twice_is_not_toml() {
        assert!(entries_in("a = 1\na = 2\n", Path::new("f.toml")).is_err());
    }
}
