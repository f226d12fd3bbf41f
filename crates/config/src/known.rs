//! The table of all keys: what each may hold, and which one a misspelt key means.
//!
//! It never sees where a value comes from, and no sentence of it contains one.

use config::ValueKind;

/// A key that can be set.
#[derive(Debug)]
pub(crate) struct Key {
    /// Section, full stop, name, as in the files.
    pub(crate) name: &'static str,
    /// What it may hold.
    pub(crate) kind: Kind,
}

/// What a key may hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// An IP address of this machine.
    Address,
    /// A whole number between two others, both allowed.
    Whole(i64, i64),
    /// Yes or no.
    Flag,
    /// One of these.
    Word(&'static [&'static str]),
    /// Anything.
    Text,
    /// Anything, and only a file may say it: a variable is reviewed by nobody.
    FileText,
}

const U16: i64 = u16::MAX as i64;
const U32: i64 = u32::MAX as i64;

/// Every key, in the order in which they are explained. The bounds are those of
/// the types in `settings.rs`, narrowed to what makes sense.
pub(crate) const KEYS: &[Key] = &[
    key("server.bind", Kind::Address),
    key("server.port", Kind::Whole(0, U16)),
    key("server.workers", Kind::Whole(1, U16)),
    key("server.allowed_origins", Kind::Text),
    key("server.hosts", Kind::Text),
    key("server.router", Kind::Word(&["auto", "none", "present"])),
    key("server.requests_per_second", Kind::Whole(0, U16)),
    // With one connection a request that needs two waits for itself.
    key("database.pool_max", Kind::Whole(2, U32)),
    key("database.processes", Kind::Whole(1, U16)),
    key(
        "database.tls",
        Kind::Word(&["prefer", "require", "verify-ca", "verify-full"]),
    ),
    key("database.tls_authority", Kind::Text),
    key("database.remote_hosts", Kind::FileText),
    key("uploads.store", Kind::Word(&["postgres", "disk", "s3"])),
    key("uploads.disk_path", Kind::Text),
    key("uploads.disk_durable", Kind::Flag),
    key("uploads.hash", Kind::Word(&["arrival", "inspection"])),
    key("uploads.bytes_max", Kind::Whole(1, i64::MAX)),
    key("uploads.capacity_bytes", Kind::Whole(1, i64::MAX)),
    key("uploads.account_bytes_max", Kind::Whole(1, i64::MAX)),
    key("uploads.account_open_max", Kind::Whole(1, U32)),
    // With less than this a single upload would crawl.
    key(
        "uploads.in_flight_bytes_max",
        Kind::Whole(1_048_576, i64::MAX),
    ),
    key("uploads.expires_after_seconds", Kind::Whole(1, U32)),
    key("jobs.inline", Kind::Flag),
    key("jobs.at_once", Kind::Whole(1, U16)),
    key("jobs.time_limit_seconds", Kind::Whole(1, U32)),
    key("sessions.secure_cookies", Kind::Flag),
    key("sessions.idle_seconds", Kind::Whole(1, U32)),
    key("sessions.absolute_seconds", Kind::Whole(1, U32)),
    key("log.format", Kind::Word(&["text", "json"])),
    key("log.filter", Kind::Text),
];

const fn key(name: &'static str, kind: Kind) -> Key {
    Key { name, kind }
}

impl Key {
    /// The key called so.
    pub(crate) fn called(name: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.name == name)
    }

    /// The key that this variable sets.
    pub(crate) fn of_variable(variable: &str) -> Option<&'static Self> {
        KEYS.iter().find(|key| key.variable() == variable)
    }

    /// The variable that sets it.
    pub(crate) fn variable(&self) -> String {
        format!("SLIPWAY__{}", self.name.replace('.', "__").to_uppercase())
    }
}

/// Whether keys begin with this section.
pub(crate) fn is_section(name: &str) -> bool {
    KEYS.iter().any(|key| {
        key.name
            .split_once('.')
            .is_some_and(|(section, _)| section == name)
    })
}

impl Kind {
    /// The value as this kind; text is read, because variables hold nothing else.
    /// `None` if it is of another type or out of bounds.
    pub(crate) fn read(self, value: &ValueKind) -> Option<ValueKind> {
        match (self, value) {
            (Self::Whole(least, most), ValueKind::I64(number)) => {
                (least..=most).contains(number).then(|| value.clone())
            }
            (Self::Whole(..), ValueKind::String(text)) => {
                self.read(&ValueKind::I64(text.parse().ok()?))
            }
            (Self::Flag, ValueKind::Boolean(_))
            | (Self::Text | Self::FileText, ValueKind::String(_)) => Some(value.clone()),
            // The words that were always taken, by the `config` crate.
            (Self::Flag, ValueKind::String(text)) => match text.to_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => Some(ValueKind::Boolean(true)),
                "false" | "no" | "off" | "0" => Some(ValueKind::Boolean(false)),
                _ => None,
            },
            (Self::Address, ValueKind::String(text)) => text
                .parse::<std::net::IpAddr>()
                .is_ok()
                .then(|| value.clone()),
            (Self::Word(words), ValueKind::String(text)) => {
                words.contains(&text.as_str()).then(|| value.clone())
            }
            _ => None,
        }
    }

    /// What is expected, to follow "must be".
    pub(crate) fn expected(self) -> String {
        match self {
            Self::Address => "an IP address".to_owned(),
            Self::Whole(least, i64::MAX) => format!("a whole number of at least {least}"),
            Self::Whole(least, most) => format!("a whole number from {least} to {most}"),
            Self::Flag => "true or false".to_owned(),
            Self::Word(words) => words.join(" or "),
            Self::Text | Self::FileText => "a text".to_owned(),
        }
    }
}

/// The farthest a word may be from what was meant: a letter left out, added and
/// taken for another, or two of them swapped. Beyond that a guess misleads.
const DISTANCE_MAX: usize = 2;

/// The candidate that was probably meant; the first one of the nearest.
pub(crate) fn nearest(word: &str, candidates: impl IntoIterator<Item = String>) -> Option<String> {
    candidates
        .into_iter()
        .map(|candidate| (distance(word, &candidate), candidate))
        .filter(|(distance, _)| *distance <= DISTANCE_MAX)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Letters to change, add or remove to make one word of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (column, other) in to.iter().enumerate() {
            let changed = diagonal + usize::from(letter != *other);
            diagonal = row[column + 1];
            row[column + 1] = changed.min(diagonal + 1).min(row[column] + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_suggested_and_a_far_one_is_not() {
        let words = || ["server.port", "server.bind"].map(str::to_owned);

        for misspelt in ["server.prot", "servr.port", "server.prt", "server.portt"] {
            assert_eq!(
                nearest(misspelt, words()).as_deref(),
                Some("server.port"),
                "{misspelt}"
            );
        }
        assert_eq!(nearest("server.prefix", words()), None);
        assert_eq!(nearest("", words()), None);
    }

    #[test]
    fn distances_count_letters() {
        for (from, to, letters) in [
            ("", "", 0),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("é", "e", 1),
        ] {
            assert_eq!(distance(from, to), letters, "{from} {to}");
            assert_eq!(distance(to, from), letters, "{to} {from}");
        }
    }

    #[test]
    fn a_kind_takes_its_own_type_within_bounds_and_text_that_says_so() {
        let text = |text: &str| ValueKind::from(text);
        let port = Kind::Whole(0, U16);

        assert_eq!(port.read(&text("80")), Some(ValueKind::I64(80)));
        assert_eq!(
            Kind::Flag.read(&text("OFF")),
            Some(ValueKind::Boolean(false))
        );
        assert!(Kind::Address.read(&text("::1")).is_some());
        for (kind, value) in [
            (port, text("65536")),
            (port, text("-1")),
            (port, text("8o")),
            (port, ValueKind::Float(1.0)),
            (port, ValueKind::Boolean(true)),
            (Kind::Flag, text("maybe")),
            (Kind::Flag, ValueKind::I64(1)),
            (Kind::Address, text("localhost")),
            (Kind::Word(&["text"]), text("Text")),
            (Kind::Text, ValueKind::I64(1)),
        ] {
            assert_eq!(kind.read(&value), None, "{kind:?} {value:?}");
        }
    }
}
