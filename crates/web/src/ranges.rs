//! The `Range` header of a download (RFC 9110 section 14), read once and turned
//! into pieces of the file.
//!
//! It never fails: a range that cannot be read asks for nothing, and the whole
//! file is the answer. What comes out lies within the file, in order, apart.

/// Ranges of one request that are served apart. Players and PDF viewers ask for a
/// handful; more cost a header and a read each, and get the whole file instead.
pub(crate) const RANGES_MAX: usize = 16;

/// A stretch between two pieces that is shorter than this is sent along: the header
/// of another part has about as many bytes (RFC 9110 section 15.3.7.2).
const GAP_BYTES: u64 = 80;

/// Some bytes in a row of a file: from the first to the one behind the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Piece {
    pub(crate) fn length(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The value of `Content-Range` (RFC 9110 section 14.4).
    pub(crate) fn content_range(self, size: u64) -> String {
        format!("bytes {}-{}/{size}", self.start, self.end.saturating_sub(1))
    }
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All of it.
    Whole,
    /// These pieces, at least one; none of them empty.
    Pieces(Vec<Piece>),
    /// Nothing that the file has.
    Outside,
}

/// Reads a `Range` header for a file of `size` bytes.
pub(crate) fn wanted(header: &str, size: u64) -> Wanted {
    // Some clients send a range with every request; nothing is a good answer to
    // one that asks for part of a file without bytes.
    if size == 0 {
        return Wanted::Whole;
    }
    let Some(specs) = specs(header) else {
        return Wanted::Whole;
    };
    let mut pieces: Vec<Piece> = specs
        .into_iter()
        .filter_map(|spec| spec.within(size))
        .collect();
    pieces.sort_by_key(|piece| piece.start);
    match pieces.as_slice() {
        [] => Wanted::Outside,
        _ => Wanted::Pieces(joined(pieces)),
    }
}

/// One range as it was written.
#[derive(Debug, Clone, Copy)]
enum Spec {
    /// From here to there, the last one included; to the end without it.
    From(u64, Option<u64>),
    /// So many bytes at the end.
    Last(u64),
}

impl Spec {
    fn within(self, size: u64) -> Option<Piece> {
        let piece = match self {
            Self::From(start, last) => Piece {
                start,
                end: last.map_or(size, |last| last.saturating_add(1).min(size)),
            },
            Self::Last(length) => Piece {
                start: size.saturating_sub(length),
                end: size,
            },
        };
        (piece.start < piece.end).then_some(piece)
    }
}

/// The ranges as they were written; `None` if they cannot be read, are no bytes,
/// or are too many.
fn specs(header: &str) -> Option<Vec<Spec>> {
    let (unit, set) = header.split_once('=')?;
    if !unit.trim().eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    // An empty element of a list is nothing (RFC 9110 section 5.6.1.2).
    let elements = set.split(',').map(|text| text.trim_matches([' ', '\t']));
    for text in elements.filter(|text| !text.is_empty()) {
        if specs.len() == RANGES_MAX {
            return None;
        }
        specs.push(spec(text)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn spec(text: &str) -> Option<Spec> {
    let (first, last) = text.split_once('-')?;
    match (first, last) {
        ("", length) => Some(Spec::Last(digits(length)?)),
        (first, "") => Some(Spec::From(digits(first)?, None)),
        (first, last) => {
            let (first, last) = (digits(first)?, digits(last)?);
            (first <= last).then_some(Spec::From(first, Some(last)))
        }
    }
}

/// A number of any length; one that does not fit lies beyond every file.
fn digits(text: &str) -> Option<u64> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().unwrap_or(u64::MAX))
}

/// Pieces in order, those that overlap or nearly touch made one.
fn joined(pieces: Vec<Piece>) -> Vec<Piece> {
    let mut joined: Vec<Piece> = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match joined.last_mut() {
            Some(before) if piece.start <= before.end.saturating_add(GAP_BYTES) => {
                before.end = before.end.max(piece.end);
            }
            _ => joined.push(piece),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(header: &str, size: u64) -> Vec<(u64, u64)> {
        match wanted(header, size) {
            Wanted::Pieces(pieces) => pieces.iter().map(|it| (it.start, it.end)).collect(),
            other => panic!("{header}: {other:?}"),
        }
    }

    #[test]
    fn single_ranges_are_cut_to_the_file() {
        for (header, piece) in [
            ("bytes=0-499", (0, 500)),
            ("bytes=500-999", (500, 1000)),
            ("bytes=-500", (500, 1000)),
            ("bytes=999-", (999, 1000)),
            ("bytes=0-0", (0, 1)),
            ("bytes=900-5000", (900, 1000)),
            ("bytes=-5000", (0, 1000)),
            ("Bytes = 1-2", (1, 3)),
            ("bytes=,, 1-2 ,", (1, 3)),
            ("bytes=0-99999999999999999999999999", (0, 1000)),
        ] {
            assert_eq!(pieces(header, 1000), [piece], "{header}");
        }
    }

    #[test]
    fn several_ranges_come_in_order_and_apart() {
        for (header, expected) in [
            ("bytes=900-,0-99", vec![(0, 100), (900, 1000)]),
            ("bytes=0-99,50-199", vec![(0, 200)]),
            ("bytes=0-99,150-199", vec![(0, 200)]),
            ("bytes=0-9,500-509,2000-", vec![(0, 10), (500, 510)]),
            ("bytes=-1,0-0", vec![(0, 1), (999, 1000)]),
        ] {
            assert_eq!(pieces(header, 1000), expected, "{header}");
        }
    }

    #[test]
    fn what_cannot_be_read_asks_for_the_whole() {
        let many = format!("bytes={}", "0-0,".repeat(RANGES_MAX + 1));
        for header in [
            "",
            "bytes",
            "bytes=",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-1",
            "bytes=+1-2",
            "bytes=1-2-3",
            "bytes=1",
            "lines=1-2",
            "bytes=0-1;x",
            &many,
        ] {
            assert_eq!(wanted(header, 1000), Wanted::Whole, "{header}");
        }
        assert_eq!(wanted("bytes=0-", 0), Wanted::Whole);
    }

    #[test]
    fn what_lies_behind_the_end_is_outside() {
        for header in [
            "bytes=1000-",
            "bytes=1000-2000",
            "bytes=-0",
            "bytes=5000-,-0",
        ] {
            assert_eq!(wanted(header, 1000), Wanted::Outside, "{header}");
        }
    }

    #[test]
    fn whatever_is_asked_for_lies_within_the_file() {
        let mut state = 1_u64;
        let mut next = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            state >> 33
        };
        for _ in 0..20_000 {
            let alphabet = b"0123456789-,= byts";
            let length = next() % 40;
            let text: String = (0..length)
                .map(|_| char::from(alphabet[next() as usize % alphabet.len()]))
                .collect();
            let size = next() % 300;
            if let Wanted::Pieces(pieces) = wanted(&format!("bytes={text}"), size) {
                assert!(pieces.iter().all(|it| it.start < it.end && it.end <= size));
                assert!(pieces.windows(2).all(|two| two[0].end < two[1].start));
            }
        }
    }
}
