//! Random tokens: what a cookie, a link or a script shows to be let in.
//!
//! A token is kept nowhere; the database holds its SHA-256.

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::{ExposeSecret, SecretString};
use sha2::Digest;
use slipway_core::Sha256Digest;

/// 256 bits: not to be guessed, and no need for a slow hash.
const BYTES: usize = 32;

/// A secret that lets its bearer in.
#[derive(Debug, Clone)]
pub struct Token(SecretString);

impl Token {
    /// A new one that begins with `prefix`.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub(crate) fn new(prefix: &str) -> Result<Self> {
        let mut bytes = [0_u8; BYTES];
        getrandom::fill(&mut bytes).context("making a token")?;
        Ok(Self(SecretString::from(format!(
            "{prefix}{}",
            URL_SAFE_NO_PAD.encode(bytes)
        ))))
    }

    /// One that somebody has shown.
    pub fn shown(text: &str) -> Self {
        Self(SecretString::from(text))
    }

    /// The text, for whoever it was made for.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }

    /// What the database knows it by.
    pub(crate) fn digest(&self) -> Sha256Digest {
        Sha256Digest::from_bytes(sha2::Sha256::digest(self.0.expose_secret()).into())
    }
}
