//! The variables that hold secrets, and how two processes compare them.
//!
//! It never lets a secret into the layers, and shows of one its length and, if it
//! can be keyed, a fingerprint.

use std::collections::BTreeSet;

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

/// Words that stand in secrets of examples, and in no random one.
const GIVEAWAYS: [&str; 6] = [
    "secret", "password", "change", "default", "example", "00000000",
];

/// Different characters that 32 random hexadecimal digits have, but for one draw in a
/// million.
const DIFFERENT_CHARACTERS_MIN: usize = 8;

/// The variable of the key of all signatures, and of the one that was it before.
const SESSION_SECRET: &str = "SESSION_SECRET";
const SESSION_SECRET_PREVIOUS: &str = "SESSION_SECRET_PREVIOUS";

/// The key of all signatures.
///
/// # Errors
/// It is missing or too short to be one, or, where others depend on it, a guess away.
pub(crate) fn session_secret(environ: &Environ, deployed: bool) -> Result<SecretString, Fault> {
    match environ.get(SESSION_SECRET) {
        Some(secret) => sound(SESSION_SECRET, secret, deployed),
        None => Err(Fault(
            "SESSION_SECRET is not set; `openssl rand -hex 32` makes a good one".to_owned(),
        )),
    }
}

/// The key before the last rotation, if it is still to be accepted.
///
/// # Errors
/// As for the key itself; and it is the same.
pub(crate) fn session_secret_previous(
    environ: &Environ,
    deployed: bool,
) -> Result<Option<SecretString>, Fault> {
    let Some(previous) = environ.get(SESSION_SECRET_PREVIOUS) else {
        return Ok(None);
    };
    if environ.get(SESSION_SECRET) == Some(previous) {
        return Err(Fault(
            "SESSION_SECRET_PREVIOUS is the same as SESSION_SECRET; to rotate, move the old one there and \
             make a new SESSION_SECRET"
                .to_owned(),
        ));
    }
    sound(SESSION_SECRET_PREVIOUS, previous, deployed).map(Some)
}

fn sound(name: &str, secret: &str, deployed: bool) -> Result<SecretString, Fault> {
    let characters = secret.chars().count();
    if characters < SESSION_SECRET_CHARACTERS_MIN {
        return Err(Fault(format!(
            "{name} has {characters} characters and needs at least {SESSION_SECRET_CHARACTERS_MIN} random ones; \
             `openssl rand -hex 32` makes a good one"
        )));
    }
    if deployed && is_guessable(secret) {
        return Err(Fault(format!(
            "{name} looks like one out of an example, or typed by hand; `openssl rand -hex 32` makes a good one"
        )));
    }
    Ok(SecretString::from(secret))
}

fn is_guessable(secret: &str) -> bool {
    let lower = secret.to_lowercase();
    let different: BTreeSet<char> = lower.chars().collect();
    different.len() < DIFFERENT_CHARACTERS_MIN || GIVEAWAYS.iter().any(|word| lower.contains(word))
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
    fn a_secret_out_of_an_example_is_none_where_others_depend_on_it() {
        let taken = |secret: &str, deployed: bool| {
            let environ = Environ::from([("SESSION_SECRET", secret)]);
            session_secret(&environ, deployed).is_ok()
        };
        let random = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

        assert!(taken(random, true) && taken(random, false));
        for secret in [
            "a-secret-for-tests-and-nothing-else",
            "CHANGE-ME-CHANGE-ME-CHANGE-ME-CHANGE-ME",
            "abababababababababababababababababab",
            "0000000000000000000000000000000f12345678",
        ] {
            assert!(!taken(secret, true), "{secret}");
            assert!(taken(secret, false), "{secret}");
        }
        assert!(!taken("9f86d081884c7d659a2feaa0c55ad01", false), "31");
    }

    #[test]
    fn a_rotation_moves_the_old_secret_and_makes_a_new_one() {
        let previous = |old: &str, new: &str| {
            let environ =
                Environ::from([("SESSION_SECRET", new), ("SESSION_SECRET_PREVIOUS", old)]);
            session_secret_previous(&environ, true)
        };
        let (one, two) = (
            "9f86d081884c7d659a2feaa0c55ad015",
            "a3bf4f1b2b0b822cd15d6c15b0f00a08",
        );

        assert!(previous(one, two).is_ok_and(|previous| previous.is_some()));
        assert!(previous(one, one).is_err() && previous("short", two).is_err());
    }

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
