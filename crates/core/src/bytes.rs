//! Numbers of bytes and digests of bytes, with arithmetic that cannot wrap.
//!
//! It never formats for people: how "2.0 GiB" is spelt belongs to the pages.

use std::fmt;
use std::str::FromStr;

/// A number of bytes, or a position inside a file: 0 to 2^63 - 1, because that
/// is what a `bigint` column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ByteCount(i64);

/// The text or number is not a byte count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a byte count: expected decimal digits, at most 9223372036854775807")]
pub struct InvalidByteCount;

impl ByteCount {
    /// No bytes, or the start of a file.
    pub const ZERO: Self = Self(0);

    /// A count known at compile time, or small by construction.
    pub const fn from_u32(bytes: u32) -> Self {
        Self(bytes as i64)
    }

    /// As the database holds it; never negative.
    pub const fn to_i64(self) -> i64 {
        self.0
    }

    /// As the rest of the world holds it.
    pub const fn to_u64(self) -> u64 {
        self.0.unsigned_abs()
    }

    /// The sum, unless it is more than a file can have.
    pub fn checked_add(self, more: u64) -> Option<Self> {
        let more = i64::try_from(more).ok()?;
        self.0.checked_add(more).map(Self)
    }

    /// How many bytes lie between `earlier` and here; zero if it is not earlier.
    pub const fn since(self, earlier: Self) -> u64 {
        if self.0 > earlier.0 {
            self.0.abs_diff(earlier.0)
        } else {
            0
        }
    }
}

impl TryFrom<u64> for ByteCount {
    type Error = InvalidByteCount;

    fn try_from(bytes: u64) -> Result<Self, InvalidByteCount> {
        match i64::try_from(bytes) {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(InvalidByteCount),
        }
    }
}

impl TryFrom<i64> for ByteCount {
    type Error = InvalidByteCount;

    fn try_from(bytes: i64) -> Result<Self, InvalidByteCount> {
        if bytes < 0 {
            Err(InvalidByteCount)
        } else {
            Ok(Self(bytes))
        }
    }
}

impl FromStr for ByteCount {
    type Err = InvalidByteCount;

    /// Decimal digits and nothing else: no sign, no space, no exponent
    /// (tus 1.0.0, "Upload-Offset" and "Upload-Length": a non-negative integer).
    fn from_str(text: &str) -> Result<Self, InvalidByteCount> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(InvalidByteCount);
        }
        match text.parse::<i64>() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(InvalidByteCount),
        }
    }
}

impl fmt::Display for ByteCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The SHA-256 of a whole file (FIPS 180-4).
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Sha256Digest([u8; 32]);

/// The bytes are not a SHA-256.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-256 has 32 bytes, this has {0}")]
pub struct InvalidSha256(usize);

impl Sha256Digest {
    /// The digest a hash function has just produced.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl TryFrom<&[u8]> for Sha256Digest {
    type Error = InvalidSha256;

    fn try_from(bytes: &[u8]) -> Result<Self, InvalidSha256> {
        match bytes.try_into() {
            Ok(bytes) => Ok(Self(bytes)),
            Err(_) => Err(InvalidSha256(bytes.len())),
        }
    }
}

impl FromStr for Sha256Digest {
    type Err = InvalidSha256;

    /// Reads 64 hexadecimal digits, of either case.
    fn from_str(text: &str) -> Result<Self, InvalidSha256> {
        let nibble = |digit: char| u8::try_from(digit.to_digit(16)?).ok();
        let nibbles: Option<Vec<u8>> = text.chars().map(nibble).collect();
        let nibbles = nibbles.filter(|nibbles| nibbles.len().is_multiple_of(2));
        let nibbles = nibbles.ok_or(InvalidSha256(text.len() / 2))?;
        let bytes: Vec<u8> = nibbles.chunks(2).map(|two| two[0] << 4 | two[1]).collect();
        bytes.as_slice().try_into()
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha256Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_decimal_digits_are_a_byte_count() {
        assert_eq!("0".parse(), Ok(ByteCount::ZERO));
        assert_eq!("007".parse::<ByteCount>().map(ByteCount::to_u64), Ok(7));
        for text in [
            "",
            " 1",
            "1 ",
            "+5",
            "-1",
            "1e3",
            "0x1",
            "1.0",
            "9223372036854775808",
            "٣",
        ] {
            assert_eq!(text.parse::<ByteCount>(), Err(InvalidByteCount), "{text}");
        }
    }

    #[test]
    fn a_sum_past_the_largest_count_is_no_count() {
        let largest: ByteCount = "9223372036854775807".parse().unwrap();

        assert_eq!(largest.checked_add(1), None);
        assert_eq!(ByteCount::ZERO.checked_add(u64::MAX), None);
        assert_eq!(
            ByteCount::ZERO.checked_add(3).map(ByteCount::to_u64),
            Some(3)
        );
    }

    #[test]
    fn a_distance_is_never_negative() {
        let three = ByteCount::from_u32(3);

        assert_eq!(three.since(ByteCount::ZERO), 3);
        assert_eq!(ByteCount::ZERO.since(three), 0);
    }

    #[test]
    fn a_digest_is_spelt_in_lower_case_hexadecimal() {
        let digest = Sha256Digest::from_bytes([0xAB; 32]);

        assert_eq!(digest.to_string(), "ab".repeat(32));
        assert_eq!(
            Sha256Digest::try_from(&[0_u8; 31][..]),
            Err(InvalidSha256(31))
        );
    }
}
