//! Database addresses: read by libpq, held to stricter rules, shown without their
//! password.
//!
//! There is one parser, that of the library which will connect. What it reads
//! differently from a person is refused rather than understood: a part that is said
//! twice, an option that nobody here knows.

mod components;
mod dial;
mod libpq;
mod reach;
mod tls;

use secrecy::SecretString;

pub(crate) use components::Components;
pub(crate) use dial::steering;
pub(crate) use reach::{Pinned, is_managed};
pub use reach::{Reach, Unresolved};
pub use tls::TlsMode;
pub(crate) use tls::TlsPolicy;

#[cfg(feature = "testing")]
pub use libpq::Live;
use libpq::Options;

/// Why an address was not accepted. Never contains a part of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct InvalidAddress {
    why: &'static str,
    /// A part is said in front of the question mark and again behind it.
    pub(crate) overridden: bool,
}

impl InvalidAddress {
    const fn new(why: &'static str) -> Self {
        Self {
            why,
            overridden: false,
        }
    }
}

/// A database address whose every part is known.
#[derive(Debug, Clone)]
pub struct DatabaseAddress {
    /// At least one; several are tried in turn.
    places: Vec<Place>,
    database: String,
    user: String,
    password: Option<SecretString>,
    /// Whether the port was said, and not filled in here.
    port_said: bool,
    wishes: Wishes,
}

/// A server, as the address has it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// A name, an IP address without brackets, or a socket's folder.
    host: String,
    port: u16,
}

/// What an address may ask of the connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Wishes {
    tls: Option<TlsMode>,
    authority: Option<String>,
    connect_timeout_seconds: Option<u8>,
    channel_binding_required: bool,
    only_writable: bool,
}

const PORT_DEFAULT: u16 = 5432;

/// Servers in one address; more is no cluster that anybody runs.
const PLACES_MAX: usize = 8;

/// What an address may say, by libpq's keywords; the last five only behind the
/// question mark.
const KEYWORDS: [&str; 10] = [
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "sslmode",
    "sslrootcert",
    "connect_timeout",
    "channel_binding",
    "target_session_attrs",
];

impl DatabaseAddress {
    /// Reads a connection URI (PostgreSQL manual, section "Connection URIs") as libpq
    /// does. It must name host, database and user, and may set `sslmode`,
    /// `sslrootcert`, `connect_timeout`, `channel_binding` and `target_session_attrs`.
    ///
    /// # Errors
    /// Says which part is wrong, never what it holds.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let Parts { options, query } = Parts::of(text)?;
        if query.contains_key("service") || query.contains_key("servicefile") {
            return Err(InvalidAddress::new(
                "the address names a service, whose file decides where to connect",
            ));
        }
        if options.contains_key("hostaddr") {
            return Err(InvalidAddress::new(
                "the address has hostaddr=, which decides where to connect, whatever its host says",
            ));
        }
        if !options
            .keys()
            .all(|keyword| KEYWORDS.contains(&keyword.as_str()))
        {
            return Err(InvalidAddress::new(
                "the address has a parameter that is not taken; sslmode, sslrootcert, connect_timeout, \
                 channel_binding and target_session_attrs are",
            ));
        }
        let get = |keyword: &str| options.get(keyword).map_or("", String::as_str);
        Self {
            places: places(get("host"), get("port"))?,
            database: get("dbname").to_owned(),
            user: get("user").to_owned(),
            password: options.get("password").cloned().map(SecretString::from),
            port_said: options.contains_key("port"),
            wishes: Wishes::of(&options)?,
        }
        .checked()
    }

    /// What holds for every address, whatever it was written as.
    fn checked(self) -> Result<Self, InvalidAddress> {
        let texts = [&self.database, &self.user];
        if texts.iter().any(|text| text.contains(char::is_control)) {
            return Err(InvalidAddress::new("the address holds a control character"));
        }
        if self.database.is_empty() || self.database.contains('/') {
            return Err(InvalidAddress::new(
                "the address names no database after the host",
            ));
        }
        if self.user.is_empty() {
            return Err(InvalidAddress::new(
                "the address names no user before an @ in front of the host",
            ));
        }
        if !self.places.iter().all(|place| plain(&place.host)) {
            return Err(InvalidAddress::new(
                "its host is neither a host's name or address nor a socket's folder; \
                 an @ or / in the password must be percent-encoded",
            ));
        }
        Ok(self)
    }

    /// The database's name.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// How many servers it names.
    pub(crate) fn servers(&self) -> usize {
        self.places.len()
    }

    /// The host of every server.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| place.host.as_str())
    }

    /// The mode of TLS that it asks for itself.
    pub(crate) fn tls(&self) -> Option<TlsMode> {
        self.wishes.tls
    }

    /// The certificate authority that it names itself.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.wishes.authority.as_deref()
    }

    /// Whether the port is stated, and not the usual one for want of another.
    pub(crate) fn says_port(&self) -> bool {
        self.port_said
    }

    /// Whether both are the same database, whoever is asking and however.
    pub(crate) fn is_same_database(&self, other: &Self) -> bool {
        self.places == other.places && self.database == other.database
    }

    /// The address as people and logs may see it.
    pub fn redacted(&self) -> String {
        let password = if self.password.is_some() {
            ":[redacted]"
        } else {
            ""
        };
        let places: Vec<String> = self
            .places
            .iter()
            .map(|Place { host, port }| format!("{host}:{port}"))
            .collect();
        format!(
            "{}{password} at {}/{}",
            self.user,
            places.join(","),
            self.database
        )
    }
}

/// What libpq reads in front of the question mark and behind it, and in all.
struct Parts {
    options: Options,
    query: Options,
}

impl Parts {
    fn of(text: &str) -> Result<Self, InvalidAddress> {
        let odd = |byte: u8| {
            byte.is_ascii_whitespace()
                || byte.is_ascii_control()
                || matches!(byte, b'#' | b'\\' | 0)
        };
        if text.bytes().any(odd) || text.contains("%00") {
            return Err(InvalidAddress::new(
                "the address holds a space, a #, a \\ or a NUL; percent-encode it",
            ));
        }
        let bare = ["postgres://", "postgresql://"]
            .into_iter()
            .find_map(|scheme| text.strip_prefix(scheme))
            .ok_or(InvalidAddress::new(
                "the address does not begin with postgres:// or postgresql://",
            ))?;
        let unreadable = InvalidAddress::new("libpq cannot read the address");
        let (front, back) = bare.split_once('?').unwrap_or((bare, ""));
        let read = |text: &str| libpq::read(&format!("postgres://{text}")).ok_or(unreadable);
        let options = read(bare)?;
        let (authority, query) = (read(front)?, read(&format!("?{back}"))?);
        let overrides = |keyword: &String| {
            authority.contains_key(keyword)
                || keyword == "hostaddr" && authority.contains_key("host")
        };
        if query.keys().any(overrides) {
            return Err(InvalidAddress {
                why: "the address says a part again behind the question mark, and libpq would obey that",
                overridden: true,
            });
        }
        let pairs = back.split('&').filter(|pair| !pair.is_empty()).count();
        if pairs != query.len() {
            return Err(InvalidAddress::new("the address says a parameter twice"));
        }
        // A question mark in a password would have been taken for the one.
        let mut both = authority;
        both.extend(query.clone());
        if both != options {
            return Err(InvalidAddress::new(
                "the address can be read in two ways; percent-encode the ? in it",
            ));
        }
        Ok(Self { options, query })
    }
}

/// Pairs hosts with ports as libpq does: as many ports as hosts, or one for all.
fn places(hosts: &str, ports: &str) -> Result<Vec<Place>, InvalidAddress> {
    if hosts.is_empty() {
        return Err(InvalidAddress::new("the address names no host"));
    }
    let hosts: Vec<&str> = hosts.split(',').collect();
    let ports: Vec<&str> = ports.split(',').collect();
    if hosts.len() > PLACES_MAX || ports.len() != 1 && ports.len() != hosts.len() {
        return Err(InvalidAddress::new(
            "the address names too many hosts, or not as many ports as hosts",
        ));
    }
    let place = |(at, host): (usize, &&str)| {
        let port = match *ports.get(at).unwrap_or(&ports[0]) {
            "" => PORT_DEFAULT,
            text => port(text).ok_or(InvalidAddress::new(
                "the port is not a number from 1 to 65535",
            ))?,
        };
        Ok(Place {
            host: (*host).to_owned(),
            port,
        })
    };
    hosts.iter().enumerate().map(place).collect()
}

fn port(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| digits && *port > 0)
}

impl Wishes {
    fn of(options: &Options) -> Result<Self, InvalidAddress> {
        /// Seconds; a longer wait for a connection helps nobody.
        const CONNECT_TIMEOUT_MAX: u8 = 30;
        let tls = options.get("sslmode").map(|mode| {
            mode.parse().or(Err(InvalidAddress::new(
                "sslmode is no mode that libpq knows",
            )))
        });
        let timeout = options.get("connect_timeout").map(|seconds| {
            seconds
                .parse()
                .ok()
                .filter(|seconds| (1..=CONNECT_TIMEOUT_MAX).contains(seconds))
                .ok_or(InvalidAddress::new(
                    "connect_timeout is not a number of seconds from 1 to 30",
                ))
        });
        let channel_binding_required = match options.get("channel_binding").map(String::as_str) {
            None | Some("prefer") => false,
            Some("require") => true,
            Some(_) => {
                return Err(InvalidAddress::new(
                    "channel_binding may be prefer or require",
                ));
            }
        };
        let only_writable = match options.get("target_session_attrs").map(String::as_str) {
            None | Some("any") => false,
            Some("read-write" | "primary") => true,
            Some(_) => {
                return Err(InvalidAddress::new(
                    "target_session_attrs may be any, read-write or primary",
                ));
            }
        };
        Ok(Self {
            tls: tls.transpose()?,
            authority: options.get("sslrootcert").cloned(),
            connect_timeout_seconds: timeout.transpose()?,
            channel_binding_required,
            only_writable,
        })
    }
}

/// Whether libpq and a person read the same in a host: no `@` of an abstract socket
/// or of a password, no remains of a URL.
fn plain(host: &str) -> bool {
    let letters = |also: &str| {
        !host.is_empty()
            && host
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || also.contains(letter))
    };
    if host.starts_with('/') {
        return letters("/._-+~");
    }
    // A colon belongs to an IPv6 address, or else it would be a port's.
    letters("._-") || host.parse::<std::net::Ipv6Addr>().is_ok()
}

#[cfg(test)]
mod tests;
