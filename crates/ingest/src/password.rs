//! Whether a password is the one of a hash, in memory that is kept for the next.
//!
//! It never holds more than one piece of memory for each that is compared at once:
//! taken anew each time, 19 MiB would stay with every thread that ever compared one.

use std::sync::{Mutex, PoisonError};

use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Argon2, Block, Params};
use secrecy::{ExposeSecret, SecretString};

/// The most characters that are hashed (OWASP ASVS 5.0, 6.2.9).
pub(crate) const PASSWORD_CHARACTERS_MAX: usize = 128;

/// Memory of comparisons that are done. `compute.rs` bounds how many there are at once,
/// and so how many pieces this ever holds.
static KEPT: Mutex<Vec<Vec<Block>>> = Mutex::new(Vec::new());

/// Whether a password is the one of a hash in PHC form.
pub(crate) fn verifies(password: &SecretString, hash: &str) -> bool {
    let password = password.expose_secret();
    // Longer ones are hashed nowhere, so they cannot be anybody's.
    password.chars().count() <= PASSWORD_CHARACTERS_MAX
        && PasswordHash::new(hash).is_ok_and(|hash| is_of(password, &hash))
}

fn is_of(password: &str, hash: &PasswordHash) -> bool {
    let (Ok(params), Some(salt), Some(expected)) = (Params::try_from(hash), hash.salt, hash.hash)
    else {
        return false;
    };
    // Argon2id of the current version, as all that were ever made.
    let argon2 = Argon2::from(params);
    let mut output = vec![0; expected.len()];
    let computed = with_memory(argon2.params().block_count(), |memory| {
        argon2.hash_password_into_with_memory(password.as_bytes(), &salt, &mut output, memory)
    });
    // Compared in constant time.
    computed.is_ok() && Output::new(&output).is_ok_and(|output| output == expected)
}

fn with_memory<T>(blocks: usize, work: impl FnOnce(&mut [Block]) -> T) -> T {
    let kept = || KEPT.lock().unwrap_or_else(PoisonError::into_inner);
    let mut memory = kept().pop().unwrap_or_default();
    memory.resize(blocks, Block::default());
    let done = work(&mut memory);
    kept().push(memory);
    done
}

#[cfg(test)]
mod tests {
    use argon2::PasswordHasher;

    use super::*;

    #[test]
    fn only_the_password_that_was_hashed_is_the_one() {
        let hash = Argon2::default().hash_password(b"correct horse").unwrap();
        let hash = hash.to_string();
        let is = |password: &str| verifies(&SecretString::from(password), &hash);

        assert!(
            hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{hash}"
        );
        assert!(
            is("correct horse") && is("correct horse"),
            "also the second time"
        );
        assert!(!is("wrong horse") && !is("") && !is(&"x".repeat(129)));
        assert!(!verifies(&SecretString::from("correct horse"), "nonsense"));
    }
}
