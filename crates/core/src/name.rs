//! How a file may be called.
//!
//! It never touches a file system: a name is text to show, never a path.

use std::fmt;

/// The name of a file as its owner sees it: 1 to 255 characters, no control
/// characters, no path. It is shown and offered for download; it is never
/// opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// As many characters as the longest name most file systems take.
    pub const CHARACTERS_MAX: usize = 255;

    /// Turns whatever a client calls a file into a name that can be shown and
    /// saved. Nothing is refused, because a file must not be lost over its name:
    /// folders are cut off, control characters and direction overrides dropped,
    /// the rest is kept, and what is left empty is called `unnamed`.
    pub fn from_client(text: &str) -> Self {
        let last = text
            .rsplit(['/', '\\'])
            .find(|part| !part.trim().is_empty())
            .unwrap_or_default();
        let shown: String = last.chars().filter(|c| !is_deceptive(*c)).collect();
        let trimmed = shown.trim();
        if trimmed.is_empty() || trimmed.chars().all(|c| c == '.') {
            return Self("unnamed".to_owned());
        }
        Self(shorten(trimmed))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that make a name read as something it is not: controls, and the
/// direction overrides behind the `gpj.exe` trick (Unicode TR 36 section 3.1).
fn is_deceptive(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}')
}

/// Cuts a long name in its stem, so that the ending still tells what it is.
fn shorten(name: &str) -> String {
    /// Longer "endings" are part of a sentence with a dot in it.
    const ENDING_CHARACTERS_MAX: usize = 16;
    let length = name.chars().count();
    if length <= FileName::CHARACTERS_MAX {
        return name.to_owned();
    }
    let ending = match name.rfind('.') {
        Some(dot) if dot > 0 && name[dot..].chars().count() <= ENDING_CHARACTERS_MAX => {
            &name[dot..]
        }
        _ => "",
    };
    let keep = FileName::CHARACTERS_MAX - ending.chars().count() - 1;
    let stem: String = name.chars().take(keep).collect();
    format!("{stem}…{ending}")
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_become_names_that_can_be_shown() {
        for (given, kept) in [
            ("report.csv", "report.csv"),
            ("../../etc/passwd", "passwd"),
            ("C:\\temp\\a b.txt", "a b.txt"),
            ("folder/", "folder"),
            ("", "unnamed"),
            ("/", "unnamed"),
            ("..", "unnamed"),
            ("  spaced.txt  ", "spaced.txt"),
            ("line\nbreak\0.txt", "linebreak.txt"),
            ("say \"hi\".txt", "say \"hi\".txt"),
            ("photo\u{202E}gpj.exe", "photogpj.exe"),
            ("naïve 🚢.bin", "naïve 🚢.bin"),
        ] {
            assert_eq!(FileName::from_client(given).as_str(), kept, "{given:?}");
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_its_limit() {
        let name = FileName::from_client(&format!("{}.tar.gz", "🚢".repeat(300)));

        assert_eq!(name.as_str().chars().count(), FileName::CHARACTERS_MAX);
        assert!(name.as_str().ends_with("….gz"), "{name}");
    }

    proptest::proptest! {
        #[test]
        fn whatever_a_client_calls_a_file_it_becomes_a_name_and_never_a_path(text in ".{0,600}") {
            let name = FileName::from_client(&text);

            let name = name.as_str();
            proptest::prop_assert!((1..=FileName::CHARACTERS_MAX).contains(&name.chars().count()));
            proptest::prop_assert!(!name.contains(['/', '\\', '\0', '\n', '\r']));
            proptest::prop_assert!(name != "." && name != "..");
        }
    }
}
