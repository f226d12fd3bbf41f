//! The variables that hold secrets, and how two processes compare them.
//!
//! It never lets a secret into the layers, and shows of one its length and, if it
//! can be keyed, a fingerprint.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::address::Components;
use crate::{Environ, Fault};

/// Variables that are never shown. The components of the database's address are
/// among them as a whole: sooner or later somebody pastes a URL into its host.
const NAMES: [&str; 8] = [
    "SESSION_SECRET",
    "SESSION_SECRET_PREVIOUS",
    "DATABASE_URL",
    "TEST_DATABASE_URL",
    "METRICS_TOKEN",
    "SENTRY_DSN",
    "AWS_SECRET_ACCESS_KEY",
    "BUCKETEER_AWS_SECRET_ACCESS_KEY",
];

/// Those that are set, with what they hold.
pub(crate) fn set_in(environ: &Environ) -> impl Iterator<Item = (&'static str, &str)> {
    NAMES
        .into_iter()
        .chain(Components::NAMES)
        .filter_map(|name| Some((name, environ.get(name)?)))
}

/// 32 random bytes in hexadecimal have 64 characters; half of that is the least
/// that still leaves 128 bits.
const SESSION_SECRET_CHARACTERS_MIN: usize = 32;

/// The key of all signatures.
///
/// # Errors
/// It is missing or too short to be one.
pub(crate) fn session_secret(environ: &Environ) -> Result<SecretString, Fault> {
    match environ.get("SESSION_SECRET") {
        Some(secret) if secret.chars().count() >= SESSION_SECRET_CHARACTERS_MIN => {
            Ok(SecretString::from(secret))
        }
        Some(secret) => Err(Fault(format!(
            "SESSION_SECRET has {} characters and needs at least {SESSION_SECRET_CHARACTERS_MIN} random ones; \
             `openssl rand -hex 32` makes a good one",
            secret.chars().count()
        ))),
        None => Err(Fault(
            "SESSION_SECRET is not set; `openssl rand -hex 32` makes a good one".to_owned(),
        )),
    }
}

/// Says what the derived key is for, so that no signature of another kind is one
/// of these.
const PURPOSE: &[u8] = b"slipway secret fingerprint v1";

/// Bytes of a fingerprint: enough to tell two secrets apart, too few to prove one.
const FINGERPRINT_BYTES: usize = 4;

/// Makes fingerprints that are equal in two processes if the secrets are, as long
/// as the processes share their `SESSION_SECRET`. The key keeps everybody else
/// from trying guesses at a short secret.
pub(crate) struct Fingerprints(SecretString);

impl Fingerprints {
    pub(crate) fn new(session_secret: &SecretString) -> Self {
        Self(SecretString::from(hexadecimal(&mac(
            session_secret.expose_secret().as_bytes(),
            PURPOSE,
        ))))
    }

    /// The fingerprint of a secret, in hexadecimal.
    pub(crate) fn of(&self, secret: &str) -> String {
        let mac = mac(self.0.expose_secret().as_bytes(), secret.as_bytes());
        hexadecimal(&mac[..FINGERPRINT_BYTES])
    }
}

fn mac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut code = [0; 32];
    // HMAC takes keys of any length, so there is nothing that could fail.
    if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) {
        mac.update(message);
        code.copy_from_slice(&mac.finalize().into_bytes());
    }
    code
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_compare_secrets_only_under_the_same_key() {
        let key = |text: &str| Fingerprints::new(&SecretString::from(text));
        let (one, other) = (key("one"), key("other"));

        assert_eq!(one.of("secret"), key("one").of("secret"));
        assert_ne!(one.of("secret"), one.of("secret2"));
        assert_ne!(one.of("secret"), other.of("secret"));
        assert_eq!(one.of("secret").len(), 8);
    }
}
