//! Database addresses: read strictly, shown without their password.
//!
//! It never passes on what it did not understand: libpq obeys parameters that
//! override the visible host, so any parameter that is not listed is refused.

mod components;

use std::net::IpAddr;

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

pub(crate) use components::Components;

/// Why an address was not accepted. Never contains a part of the address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(&'static str);

/// A database address whose every part is known.
#[derive(Debug, Clone)]
pub struct DatabaseAddress {
    host: String,
    port: u16,
    database: String,
    user: String,
    password: Option<SecretString>,
    tls: Tls,
}

/// What the address asks of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tls {
    Unsaid,
    Require,
    VerifyFull,
}

const PORT_DEFAULT: u16 = 5432;

impl DatabaseAddress {
    /// Reads `postgres://user:password@host:port/database`, where the host may be
    /// a percent-encoded socket folder and the only parameter is `sslmode`
    /// (PostgreSQL manual, section "Connection URIs").
    ///
    /// # Errors
    /// Says which part is wrong, never what it holds.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        if text
            .bytes()
            .any(|byte| byte.is_ascii_whitespace() || matches!(byte, b'#' | b'\\' | 0))
        {
            return Err(InvalidAddress(
                "the address holds a space, a #, a \\ or a NUL; percent-encode it",
            ));
        }
        let rest = text
            .strip_prefix("postgres://")
            .or_else(|| text.strip_prefix("postgresql://"))
            .ok_or(InvalidAddress(
                "the address does not begin with postgres:// or postgresql://",
            ))?;
        let (rest, parameters) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = rest.split_once('/').ok_or(InvalidAddress(
            "the address names no database after the host",
        ))?;
        let (credentials, place) = authority
            .rsplit_once('@')
            .ok_or(InvalidAddress("the address names no user before an @"))?;
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(SecretString::from(decode(password)?))),
            None => (credentials, None),
        };
        let (host, port) = split_port(place)?;
        Self {
            host: decode(host)?,
            port,
            database: decode(database)?,
            user: decode(user)?,
            password,
            tls: tls(parameters)?,
        }
        .checked()
    }

    /// What holds for every address, whatever it was written as.
    fn checked(self) -> Result<Self, InvalidAddress> {
        let texts = [&self.host, &self.database, &self.user];
        if texts.iter().any(|text| text.contains('\0')) {
            return Err(InvalidAddress("the address holds a NUL"));
        }
        if self.database.is_empty() || self.database.contains('/') {
            return Err(InvalidAddress(
                "the address names no database after the host",
            ));
        }
        if self.host.is_empty() || self.user.is_empty() {
            return Err(InvalidAddress("the address needs both a user and a host"));
        }
        if self.host.contains(',') {
            return Err(InvalidAddress("the address names several hosts; name one"));
        }
        Ok(self)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// The same server and user with another database.
    pub fn with_database(&self, database: &str) -> Self {
        Self {
            database: database.to_owned(),
            ..self.clone()
        }
    }

    /// Whether the server is reached by a socket file, which no tunnel is.
    pub fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// Whether no packet leaves this machine.
    pub fn is_local(&self) -> bool {
        let literal = self.host.trim_start_matches('[').trim_end_matches(']');
        self.is_socket()
            || self.host == "localhost"
            || literal
                .parse::<IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    }

    /// The address as people and logs may see it.
    pub fn redacted(&self) -> String {
        let password = if self.password.is_some() {
            ":[redacted]"
        } else {
            ""
        };
        format!(
            "{}{password} at {}:{}/{}",
            self.user, self.host, self.port, self.database
        )
    }

    /// What libpq is told: every field that it would otherwise take from `PG*`
    /// variables, a service file or a password file is stated.
    pub(crate) fn connection_string(&self, tls_required: bool) -> SecretString {
        let sslmode = match self.tls {
            Tls::VerifyFull => "verify-full",
            Tls::Require => "require",
            Tls::Unsaid if tls_required && !self.is_socket() => "require",
            Tls::Unsaid => "prefer",
        };
        let password = self
            .password
            .as_ref()
            .map_or("", |password| password.expose_secret());
        let fields = [
            (
                "host",
                self.host.trim_start_matches('[').trim_end_matches(']'),
            ),
            // Stated though empty: otherwise PGHOSTADDR decides where we go.
            ("hostaddr", ""),
            ("port", &self.port.to_string()),
            ("dbname", &self.database),
            ("user", &self.user),
            ("password", password),
            // A file that cannot exist: a missing password is nobody else's.
            ("passfile", "/dev/null/none"),
            ("sslmode", sslmode),
            ("application_name", "slipway"),
            ("connect_timeout", "5"),
            // Milliseconds until unacknowledged data ends a connection; kernel
            // defaults leave a lost peer unnoticed for a quarter of an hour.
            ("tcp_user_timeout", "15000"),
            ("options", ""),
        ];
        let text: Vec<String> = fields
            .iter()
            .map(|(name, value)| format!("{name}='{}'", quote(value)))
            .collect();
        SecretString::from(text.join(" "))
    }
}

fn quote(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

fn decode(text: &str) -> Result<String, InvalidAddress> {
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .or(Err(InvalidAddress(
            "the address is not UTF-8 after percent-decoding",
        )))?;
    if decoded.contains('\0') {
        return Err(InvalidAddress("the address holds a NUL"));
    }
    Ok(decoded.into_owned())
}

/// Splits `host:port`, leaving the colons of a bracketed IPv6 address alone.
fn split_port(place: &str) -> Result<(&str, u16), InvalidAddress> {
    let host_ends = place.rfind(']').map_or(0, |bracket| bracket + 1);
    match place[host_ends..].find(':') {
        None => Ok((place, PORT_DEFAULT)),
        Some(colon) => {
            let (host, port) = place.split_at(host_ends + colon);
            let port = port[1..].parse().or(Err(InvalidAddress(
                "the port is not a number from 0 to 65535",
            )))?;
            Ok((host, port))
        }
    }
}

fn tls(parameters: &str) -> Result<Tls, InvalidAddress> {
    let mut said = Tls::Unsaid;
    for parameter in parameters
        .split('&')
        .filter(|parameter| !parameter.is_empty())
    {
        said = match parameter.split_once('=') {
            Some(("sslmode", "require")) => Tls::Require,
            Some(("sslmode", "verify-full")) => Tls::VerifyFull,
            Some(("sslmode", "prefer")) => Tls::Unsaid,
            Some(("sslmode", _)) => {
                return Err(InvalidAddress(
                    "sslmode may be prefer, require or verify-full",
                ));
            }
            _ => {
                return Err(InvalidAddress(
                    "the address has a parameter other than sslmode; it could send the connection elsewhere",
                ));
            }
        };
    }
    Ok(said)
}

#[cfg(test)]
mod tests;
