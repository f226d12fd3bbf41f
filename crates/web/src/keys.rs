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

/// Signs upload keys, and checks them. After a rotation of the secret, keys that the
/// previous one signed are good as long as it is given: no upload stops for it.
#[derive(Clone)]
pub(crate) struct Keys {
    current: Key,
    previous: Option<Key>,
}

#[derive(Clone, Copy)]
struct Key([u8; 32]);

impl Keys {
    pub(crate) fn new(secret: &SecretString, previous: Option<&SecretString>) -> Self {
        Self {
            current: Key::derived(secret),
            previous: previous.map(Key::derived),
        }
    }

    /// The key of an upload: its id, a full stop, the signature.
    pub(crate) fn of(&self, id: UploadId) -> String {
        let signature = self.current.signature(id);
        format!("{id}.{}", URL_SAFE_NO_PAD.encode(signature))
    }

    /// The upload that a key is for; `None` for anything we have not signed.
    pub(crate) fn check(&self, key: &str) -> Option<UploadId> {
        let (id, signature) = key.split_once('.')?;
        let id = id.parse().ok()?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let mut keys = [Some(self.current), self.previous].into_iter().flatten();
        keys.any(|key| key.signature(id).ct_eq(&signature).into())
            .then_some(id)
    }
}

impl Key {
    fn derived(secret: &SecretString) -> Self {
        let mut key = [0; 32];
        let derivation = Hkdf::<Sha256>::new(None, secret.expose_secret().as_bytes());
        // Only a length beyond 255 blocks can fail; this is one block.
        let derived = derivation.expand(PURPOSE, &mut key);
        debug_assert!(derived.is_ok());
        Self(key)
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
        Keys::new(&SecretString::from(secret), None)
    }

    #[test]
    fn what_the_previous_secret_signed_is_good_while_it_is_given() {
        let (old, id) = (keys("one"), UploadId::new());
        let key = old.of(id);
        let (new, one) = (SecretString::from("two"), SecretString::from("one"));

        let rotated = Keys::new(&new, Some(&one));
        assert_eq!(rotated.check(&key), Some(id));
        assert_eq!(rotated.check(&rotated.of(id)), Some(id));
        assert_eq!(rotated.of(id), keys("two").of(id), "signed by the new one");
        assert_eq!(keys("two").check(&key), None);
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
