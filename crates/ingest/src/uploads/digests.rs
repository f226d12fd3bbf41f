//! The hashes that grow with the bytes of a request while they are gathered.
//!
//! Each piece is hashed as it is moved into its chunk, on the thread that reads the
//! connection: it is still in the processor's cache, and handing it to another thread
//! and back costs more than hashing it. A piece is what one read of a socket brings, 64
//! KiB at most, so nobody waits longer for this thread than some hundred microseconds.
//!
//! It never sees a byte twice.

use crate::checksum::Checksum;
use crate::proof::Proof;

/// What is hashed of a request.
#[derive(Default)]
pub(super) struct Digests {
    /// Of the file up to here; `None` when its inspection makes it.
    pub(super) checksum: Option<Checksum>,
    /// Of the bytes of this request, if its sender declared one.
    pub(super) proof: Option<Proof>,
}

impl Digests {
    /// Takes the next bytes.
    pub(super) fn update(&mut self, bytes: &[u8]) {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
        if let Some(proof) = &mut self.proof {
            proof.update(bytes);
        }
    }
}
