//! Checksums that senders declare of the bytes of one request.
//!
//! They guard against damage on the way, so weak algorithms are welcome; whether
//! bytes are the right ones at all is told by the SHA-256 of the file.

use sha2::Digest;

/// How a checksum is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// RFC 3174.
    Sha1,
    /// FIPS 180-4.
    Sha256,
    /// FIPS 180-4.
    Sha512,
    /// RFC 1321.
    Md5,
    /// RFC 3720, appendix B.4; the four bytes in network order.
    Crc32c,
}

impl Algorithm {
    /// Bytes of its digests.
    pub const fn digest_bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
            Self::Md5 => 16,
            Self::Crc32c => 4,
        }
    }
}

/// A digest that some bytes must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    algorithm: Algorithm,
    digest: Vec<u8>,
}

impl Expected {
    /// `None` when the digest is not of the length that the algorithm gives.
    pub fn new(algorithm: Algorithm, digest: Vec<u8>) -> Option<Self> {
        (digest.len() == algorithm.digest_bytes()).then_some(Self { algorithm, digest })
    }

    /// A proof that no bytes have gone into yet.
    pub(crate) fn begin(self) -> Proof {
        let running = match self.algorithm {
            Algorithm::Sha1 => Running::Sha1(sha1::Sha1::new()),
            Algorithm::Sha256 => Running::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => Running::Sha512(sha2::Sha512::new()),
            Algorithm::Md5 => Running::Md5(md5::Md5::new()),
            Algorithm::Crc32c => Running::Crc32c(0),
        };
        Proof {
            running,
            digest: self.digest,
        }
    }
}

/// A checksum of bytes that are still coming in, and what it must come to.
#[derive(Clone)]
pub(crate) struct Proof {
    running: Running,
    digest: Vec<u8>,
}

#[derive(Clone)]
enum Running {
    Sha1(sha1::Sha1),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
    Md5(md5::Md5),
    Crc32c(u32),
}

impl Proof {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match &mut self.running {
            Running::Sha1(hash) => hash.update(bytes),
            Running::Sha256(hash) => hash.update(bytes),
            Running::Sha512(hash) => hash.update(bytes),
            Running::Md5(hash) => hash.update(bytes),
            Running::Crc32c(sum) => *sum = crc32c::crc32c_append(*sum, bytes),
        }
    }

    /// Whether the bytes were those that were declared.
    pub(crate) fn holds(self) -> bool {
        let found = match self.running {
            Running::Sha1(hash) => hash.finalize().to_vec(),
            Running::Sha256(hash) => hash.finalize().to_vec(),
            Running::Sha512(hash) => hash.finalize().to_vec(),
            Running::Md5(hash) => hash.finalize().to_vec(),
            Running::Crc32c(sum) => sum.to_be_bytes().to_vec(),
        };
        found == self.digest
    }
}

#[cfg(test)]
mod tests {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;

    use super::*;

    #[test]
    fn the_digests_are_those_of_the_standards() {
        for (algorithm, digest) in [
            // FIPS 180-4 and RFC 1321 name the digests of "abc"; RFC 3720 has none of
            // it, this one is of every other implementation.
            (Algorithm::Sha1, "qZk+NkcGgWq6PiVxeFDCbJzQ2J0="),
            (
                Algorithm::Sha256,
                "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=",
            ),
            (Algorithm::Md5, "kAFQmDzST7DWlj99KOF/cg=="),
            (Algorithm::Crc32c, "Nks/tw=="),
        ] {
            let digest = STANDARD.decode(digest).unwrap();
            let expected = Expected::new(algorithm, digest).unwrap();
            let mut proof = expected.clone().begin();
            proof.update(b"a");
            proof.update(b"bc");
            assert!(proof.holds(), "{algorithm:?}");

            let mut other = expected.begin();
            other.update(b"abd");
            assert!(!other.holds(), "{algorithm:?}");
        }
    }

    #[test]
    fn a_digest_of_another_length_is_none() {
        assert_eq!(Expected::new(Algorithm::Sha1, vec![0; 19]), None);
        assert_eq!(Expected::new(Algorithm::Crc32c, vec![]), None);
    }
}
