//! Whether bytes that come in pieces are text, and how many lines they have.
//!
//! It never keeps more than the three bytes of a character that a piece ends in.

/// A running verdict.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TextScan {
    /// Still text: UTF-8 without control characters that no text has.
    is_text: bool,
    /// Line feeds seen.
    lines: u64,
    /// The last byte seen was not a line feed: a line is unfinished.
    open_line: bool,
    /// The beginning of a character whose end is in the next piece.
    carry: Vec<u8>,
}

impl TextScan {
    /// Before the first byte.
    pub(super) fn new() -> Self {
        Self {
            is_text: true,
            lines: 0,
            open_line: false,
            carry: Vec::new(),
        }
    }

    /// Goes on from where another attempt stopped, as [`TextScan::save`] put it.
    pub(super) fn restore(is_text: bool, lines: u64, open_line: bool, carry: Vec<u8>) -> Self {
        Self {
            is_text,
            lines,
            open_line,
            carry,
        }
    }

    /// All there is to go on from.
    pub(super) fn save(&self) -> (bool, u64, bool, &[u8]) {
        (self.is_text, self.lines, self.open_line, &self.carry)
    }

    /// Takes the next piece.
    pub(super) fn update(&mut self, piece: &[u8]) {
        let Some(last) = piece.last() else { return };
        if !self.is_text {
            return;
        }
        self.lines = self.lines.saturating_add(count(piece, b'\n'));
        self.open_line = *last != b'\n';
        self.is_text = !piece.iter().copied().any(is_foreign) && self.is_utf8(piece);
    }

    fn is_utf8(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        // A character that began in the piece before is completed byte by byte.
        while !self.carry.is_empty() {
            let Some((first, after)) = rest.split_first() else {
                return true;
            };
            self.carry.push(*first);
            rest = after;
            match std::str::from_utf8(&self.carry) {
                Ok(_) => self.carry.clear(),
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        match std::str::from_utf8(rest) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                self.carry = rest[error.valid_up_to()..].to_vec();
                true
            }
        }
    }

    /// The number of lines, if all bytes were text.
    pub(super) fn lines(&self) -> Option<u64> {
        let whole = self.is_text && self.carry.is_empty();
        whole.then(|| self.lines.saturating_add(u64::from(self.open_line)))
    }
}

/// Control characters other than tab, line feed, form feed, carriage return and
/// escape, which texts and logs with colours have.
fn is_foreign(byte: u8) -> bool {
    byte.is_ascii_control() && !matches!(byte, b'\t' | b'\n' | 0x0C | b'\r' | 0x1B)
}

fn count(bytes: &[u8], wanted: u8) -> u64 {
    bytes.iter().map(|byte| u64::from(*byte == wanted)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Option<u64> {
        let mut scan = TextScan::new();
        for piece in pieces {
            scan.update(piece);
        }
        scan.lines()
    }

    #[test]
    fn lines_are_counted_as_a_person_would() {
        assert_eq!(lines(&[]), Some(0));
        assert_eq!(lines(&[b"one"]), Some(1));
        assert_eq!(lines(&[b"one\ntwo\n"]), Some(2));
        assert_eq!(lines(&[b"one\n", b"two"]), Some(2));
    }

    #[test]
    fn a_character_cut_between_pieces_is_still_text() {
        let text = "naïve 🚢 façade\n".repeat(3);
        for at in 0..text.len() {
            let (first, second) = text.as_bytes().split_at(at);
            assert_eq!(lines(&[first, second]), Some(3), "{at}");
        }
    }

    #[test]
    fn other_bytes_are_not_text() {
        assert_eq!(lines(&[b"a\0b"]), None);
        assert_eq!(lines(&[b"\x07\x07"]), None);
        assert_eq!(lines(&[b"\x1b[31mred\x1b[0m\r\n"]), Some(1));
        assert_eq!(lines(&[b"\xff\xfe"]), None);
        assert_eq!(lines(&[b"caf\xc3"]), None, "it ends inside a character");
        assert_eq!(lines(&[b"\xf0\x9f", b"ok"]), None);
    }
}
