//! SHA-256 that can be put aside in the middle of a file and taken up again,
//! by another process if need be.
//!
//! It never decides where the middle is: bytes come in order, exactly once.

use sha2::Digest;
use sha2::digest::common::hazmat::SerializableState;
use slipway_core::Sha256Digest;

/// Says how the rest of a saved state is laid out. Raised whenever the hash
/// library changes that; states with another number are hashed again from the
/// stored bytes.
const LAYOUT: u8 = 1;

/// A SHA-256 of a file that is still coming in.
#[derive(Clone, Default)]
pub(crate) struct Checksum(sha2::Sha256);

impl Checksum {
    /// Takes the next bytes.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes so far.
    pub(crate) fn finish(&self) -> Sha256Digest {
        Sha256Digest::from_bytes(self.0.clone().finalize().into())
    }

    /// Everything needed to go on later.
    pub(crate) fn save(&self) -> Vec<u8> {
        let mut saved = vec![LAYOUT];
        saved.extend_from_slice(&self.0.serialize());
        saved
    }

    /// Goes on from a saved state; `None` when it is not one of ours.
    pub(crate) fn restore(saved: &[u8]) -> Option<Self> {
        let (layout, state) = saved.split_first()?;
        if *layout != LAYOUT {
            return None;
        }
        sha2::Sha256::deserialize(state.try_into().ok()?)
            .ok()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_put_aside_anywhere_ends_the_same() {
        let bytes: Vec<u8> = (0..1000_u32).flat_map(u32::to_le_bytes).collect();
        let mut whole = Checksum::default();
        whole.update(&bytes);

        for at in [0, 1, 63, 64, 65, 1000, bytes.len()] {
            let mut first = Checksum::default();
            first.update(&bytes[..at]);
            let mut second = Checksum::restore(&first.save()).unwrap();
            second.update(&bytes[at..]);
            assert_eq!(second.finish(), whole.finish(), "{at}");
        }
    }

    #[test]
    fn the_digest_is_sha_256() {
        let mut checksum = Checksum::default();
        checksum.update(b"abc");

        // FIPS 180-4, example of the one-block message.
        assert_eq!(
            checksum.finish().to_string(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn what_is_not_a_saved_state_is_not_restored() {
        let mut other_layout = Checksum::default().save();
        other_layout[0] = LAYOUT + 1;

        for saved in [&[][..], &[LAYOUT], &[LAYOUT, 1, 2, 3], &other_layout] {
            assert!(Checksum::restore(saved).is_none(), "{saved:?}");
        }
    }
}
