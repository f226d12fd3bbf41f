//! Upload keys: capabilities that let a sender go on without being signed in.
//!
//! A key is the upload's id and a signature over it. Whoever has it may ask how
//! far the upload is, go on with it and give it up, so that a session that ends
//! in mid-upload stops nothing; it shows neither the file nor anything else.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;
use slipway_core::UploadId;
use subtle::ConstantTimeEq;

/// Bytes of signature in a key: 128 bits cannot be guessed over a network.
const SIGNATURE_BYTES: usize = 16;

/// Says what the derived key is for, so that no signature of another kind fits
/// (RFC 5869 section 3.2).
const PURPOSE: &[u8] = b"slipway upload key v1";

/// Signs and checks upload keys.
#[derive(Clone)]
pub(crate) struct Keys([u8; 32]);

impl Keys {
    pub(crate) fn new(secret: &SecretString) -> Self {
        let mut key = [0; 32];
        let derivation = Hkdf::<Sha256>::new(None, secret.expose_secret().as_bytes());
        // Only a length beyond 255 blocks can fail; this is one block.
        let derived = derivation.expand(PURPOSE, &mut key);
        debug_assert!(derived.is_ok());
        Self(key)
    }

    /// The key of an upload: its id, a full stop, the signature.
    pub(crate) fn of(&self, id: UploadId) -> String {
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(self.signature(id)))
    }

    /// The upload that a key is for; `None` for anything we have not signed.
    pub(crate) fn check(&self, key: &str) -> Option<UploadId> {
        let (id, signature) = key.split_once('.')?;
        let id = id.parse().ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        bool::from(self.signature(id).ct_eq(&signature)).then_some(id)
    }

    fn signature(&self, id: UploadId) -> [u8; SIGNATURE_BYTES] {
        let mut signature = [0; SIGNATURE_BYTES];
        // HMAC takes keys of any length, so there is nothing that could fail.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(id.to_uuid().as_bytes());
            signature.copy_from_slice(&mac.finalize().into_bytes()[..SIGNATURE_BYTES]);
        }
        signature
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secret: &str) -> Keys {
        Keys::new(&SecretString::from(secret))
    }

    #[test]
    fn a_key_opens_its_own_upload_and_no_other() {
        let (keys, id) = (keys("one"), UploadId::new());

        assert_eq!(keys.check(&keys.of(id)), Some(id));
        assert_ne!(keys.of(id), keys.of(UploadId::new()));
    }

    #[test]
    fn a_key_that_was_touched_or_made_elsewhere_opens_nothing() {
        let ours = keys("one");
        let key = ours.of(UploadId::new());
        let mut touched = key.clone().into_bytes();
        let last = touched.len() - 2;
        touched[last] ^= 1;
        let touched = String::from_utf8(touched).unwrap();
        let foreign = keys("two").of(UploadId::new());

        for key in [
            "",
            "x",
            &key[1..],
            &touched,
            &foreign,
            &format!("{key}AA"),
            "../../etc/passwd",
        ] {
            assert_eq!(ours.check(key), None, "{key}");
        }
    }

    proptest::proptest! {
        #[test]
        fn nothing_but_what_was_signed_opens_anything(text in "(\\.|/|%2e|-|_|[0-9a-f]{1,36}|.){0,20}") {
            let ours = keys("one");
            proptest::prop_assert_eq!(ours.check(&text), None);

            let key = ours.of(UploadId::new());
            proptest::prop_assert_eq!(ours.check(&format!("{key}{text}")).is_some(), text.is_empty());
            let before = format!("{text}{key}");
            proptest::prop_assert_eq!(ours.check(&before).is_some(), text.is_empty());
        }
    }
}
