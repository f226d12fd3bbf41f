//! How well a connection is protected: what an address asks for, and what is the
//! least that is allowed.

use std::fmt;
use std::str::FromStr;

/// libpq's `sslmode`, the weakest first (PostgreSQL manual, section "Protection
/// Provided in Different Modes").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsMode {
    /// Never encrypted.
    Disable,
    /// Encrypted only if the server insists.
    Allow,
    /// Encrypted if the server can.
    Prefer,
    /// Always encrypted, with whomever answers.
    Require,
    /// And the server's certificate comes from a known authority.
    VerifyCa,
    /// And it is for the host that was dialled.
    VerifyFull,
}

impl TlsMode {
    const ALL: [Self; 6] = [
        Self::Disable,
        Self::Allow,
        Self::Prefer,
        Self::Require,
        Self::VerifyCa,
        Self::VerifyFull,
    ];

    /// libpq's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Disable => "disable",
            Self::Allow => "allow",
            Self::Prefer => "prefer",
            Self::Require => "require",
            Self::VerifyCa => "verify-ca",
            Self::VerifyFull => "verify-full",
        }
    }
}

impl fmt::Display for TlsMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not one of libpq's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownTlsMode;

impl FromStr for TlsMode {
    type Err = UnknownTlsMode;

    fn from_str(text: &str) -> Result<Self, UnknownTlsMode> {
        let mut all = Self::ALL.into_iter();
        all.find(|mode| mode.as_str() == text).ok_or(UnknownTlsMode)
    }
}

/// What a process insists on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsPolicy {
    /// The weakest mode that is allowed.
    pub(crate) least: TlsMode,
    /// A file with certificates, or `system`.
    pub(crate) authority: Option<String>,
}

/// The authorities that the operating system trusts; libpq takes it with
/// `verify-full` only.
const SYSTEM: &str = "system";

impl TlsPolicy {
    /// Mode and authority of a connection whose address asks for these.
    pub(super) fn settle(
        &self,
        asked: Option<TlsMode>,
        authority: Option<&str>,
    ) -> (TlsMode, String) {
        let mode = asked.map_or(self.least, |asked| asked.max(self.least));
        let authority = self.authority.as_deref().or(authority);
        match (mode, authority) {
            // An authority that nobody asks is no protection.
            (mode, Some(SYSTEM)) if mode >= TlsMode::Require => {
                (TlsMode::VerifyFull, SYSTEM.to_owned())
            }
            (TlsMode::Require, Some(file)) => (TlsMode::VerifyCa, file.to_owned()),
            (mode, Some(file)) => (mode, file.to_owned()),
            (TlsMode::VerifyFull, None) => (TlsMode::VerifyFull, SYSTEM.to_owned()),
            (mode, None) => (mode, String::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_as_safe_as_the_stricter_of_the_two_says() {
        let policy = |least, authority: Option<&str>| TlsPolicy {
            least,
            authority: authority.map(str::to_owned),
        };
        use TlsMode::{Disable, Prefer, Require, VerifyCa, VerifyFull};
        for (least, pinned, asked, mode, authority) in [
            (Prefer, None, None, Prefer, ""),
            (Prefer, None, Some(Disable), Prefer, ""),
            (Require, None, Some(Prefer), Require, ""),
            (Require, None, Some(VerifyFull), VerifyFull, "system"),
            (Require, Some("ca.pem"), None, VerifyCa, "ca.pem"),
            (Require, Some("system"), None, VerifyFull, "system"),
            (VerifyFull, Some("ca.pem"), None, VerifyFull, "ca.pem"),
            (VerifyCa, None, None, VerifyCa, ""),
        ] {
            let settled = policy(least, pinned).settle(asked, None);
            assert_eq!(settled, (mode, authority.to_owned()), "{least} {asked:?}");
        }
        let named = policy(Require, None).settle(None, Some("their.pem"));
        assert_eq!(named, (VerifyCa, "their.pem".to_owned()));
    }
}
