//! How far away a server is, and the very addresses at which it will be dialled.
//!
//! The question to the operating system's resolver is the only thing that leaves
//! this crate. An address that was judged is the one that is dialled: the name is
//! not asked for again in between.

use std::net::{IpAddr, ToSocketAddrs};
use std::sync::mpsc;
use std::time::Duration;

use super::{DatabaseAddress, Place};

/// How far a database is from this process, the nearest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reach {
    /// A socket file, or a loopback address: this machine, or a tunnel's mouth.
    Local,
    /// A private or link-local network, or a name that only such a network knows.
    Near,
    /// Anywhere.
    Remote,
}

/// Why a host's addresses are not known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unresolved {
    /// The resolver knows no such name.
    #[error("the host {0} has no address")]
    Unknown(String),
    /// The resolver did not answer in time.
    #[error("the resolver did not answer for {0} within {RESOLVE_SECONDS_MAX} s")]
    Silent(String),
}

/// A server at one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pinned {
    pub(crate) host: String,
    /// `None` of a socket's folder.
    pub(crate) ip: Option<IpAddr>,
    pub(crate) port: u16,
}

/// How long the resolver may take; the operating system's own patience is longer.
const RESOLVE_SECONDS_MAX: u64 = 5;

/// Addresses of one host that are tried in turn; names with more are for browsers.
const ADDRESSES_MAX: usize = 8;

impl DatabaseAddress {
    /// Every address of every server.
    ///
    /// # Errors
    /// A host's addresses cannot be found out.
    pub(crate) fn resolve(&self) -> Result<Vec<Pinned>, Unresolved> {
        let mut pinned = Vec::new();
        for Place { host, port } in &self.places {
            let pin = |ip| Pinned {
                host: host.clone(),
                ip,
                port: *port,
            };
            if host.starts_with('/') {
                pinned.push(pin(None));
            } else {
                let ips = addresses(host)?.into_iter();
                pinned.extend(ips.map(|ip| pin(Some(ip))));
            }
        }
        Ok(pinned)
    }

    /// How far the farthest server is. A name without an address is as far as can be,
    /// unless only a private network could know it.
    pub(crate) fn reach(&self, pinned: &Result<Vec<Pinned>, Unresolved>) -> Reach {
        let farthest = match pinned {
            Ok(pinned) => pinned.iter().map(Pinned::reach).max(),
            Err(_) => self
                .hosts()
                .map(|host| match is_private_name(host) {
                    true => Reach::Near,
                    false => Reach::Remote,
                })
                .max(),
        };
        farthest.unwrap_or(Reach::Remote)
    }
}

impl Pinned {
    fn reach(&self) -> Reach {
        match self.ip {
            None => Reach::Local,
            Some(ip) => reach_of(ip),
        }
    }
}

fn addresses(host: &str) -> Result<Vec<IpAddr>, Unresolved> {
    if let Ok(literal) = host.parse() {
        return Ok(vec![literal]);
    }
    let (answer, answered) = mpsc::sync_channel(1);
    let name = host.to_owned();
    // The port plays no part; the resolver also reads what only C takes for an
    // address, such as 2130706433, and so it is judged as what it is.
    std::thread::Builder::new()
        .name("slipway-resolve".to_owned())
        .spawn(move || {
            let found = (name.as_str(), 0_u16).to_socket_addrs();
            // Nobody waits any more, then nobody needs it.
            let _unheard = answer.send(found.map(Vec::from_iter));
        })
        .or(Err(Unresolved::Silent(host.to_owned())))?;
    let found = answered
        .recv_timeout(Duration::from_secs(RESOLVE_SECONDS_MAX))
        .or(Err(Unresolved::Silent(host.to_owned())))?
        .or(Err(Unresolved::Unknown(host.to_owned())))?;
    let mut ips: Vec<IpAddr> = Vec::new();
    for ip in found.into_iter().map(|socket| socket.ip()) {
        if !ips.contains(&ip) && ips.len() < ADDRESSES_MAX {
            ips.push(ip);
        }
    }
    if ips.is_empty() {
        return Err(Unresolved::Unknown(host.to_owned()));
    }
    Ok(ips)
}

fn reach_of(ip: IpAddr) -> Reach {
    match ip.to_canonical() {
        // The unspecified address connects to this machine.
        ip if ip.is_loopback() || ip.is_unspecified() => Reach::Local,
        IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Reach::Near,
        IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Reach::Near,
        _ => Reach::Remote,
    }
}

/// A single label, as in a file of compose, or a name of multicast DNS (RFC 6762).
fn is_private_name(host: &str) -> bool {
    host.ends_with(".local") || host.ends_with(".internal") || !host.contains('.')
}

/// The ends of names under which providers of managed PostgreSQL hand out databases.
const MANAGED: [&str; 18] = [
    "amazonaws.com",
    "render.com",
    "rlwy.net",
    "railway.app",
    "railway.internal",
    "fly.dev",
    "flycast",
    "neon.tech",
    "supabase.co",
    "supabase.com",
    "azure.com",
    "ondigitalocean.com",
    "aivencloud.com",
    "scalingo-dbs.com",
    "clever-cloud.com",
    "cockroachlabs.cloud",
    "crunchybridge.com",
    "timescale.com",
];

/// Whether a provider of managed PostgreSQL hands out databases under such a name.
pub(crate) fn is_managed(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    MANAGED.iter().any(|name| {
        host.strip_suffix(name)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(text: &str) -> Reach {
        let address =
            DatabaseAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        address.reach(&address.resolve())
    }

    #[test]
    fn what_stays_on_this_machine_is_told_from_everything_else() {
        for host in [
            "%2Ftmp%2Fs",
            "localhost",
            "LOCALHOST",
            "local%68ost",
            "127.0.0.1",
            "127.0.0.2",
            "[::1]",
            "[::ffff:127.0.0.1]",
            "0.0.0.0",
            // Forms that only C reads as addresses; they are judged as such.
            "2130706434",
            "0x7f000002",
            "127.2",
        ] {
            assert_eq!(
                reach(&format!("postgres://u@{host}/d")),
                Reach::Local,
                "{host}"
            );
        }
        for host in [
            "10.0.0.1",
            "192.168.1.2",
            "169.254.1.1",
            "[fd00::1]",
            "[fe80::1]",
        ] {
            assert_eq!(
                reach(&format!("postgres://u@{host}/d")),
                Reach::Near,
                "{host}"
            );
        }
        for host in ["192.0.2.1", "[2001:db8::1]", "[::ffff:192.0.2.1]"] {
            assert_eq!(
                reach(&format!("postgres://u@{host}/d")),
                Reach::Remote,
                "{host}"
            );
        }
    }

    #[test]
    fn a_name_without_an_address_is_as_far_as_its_form_allows() {
        let unresolved = |host: &str| {
            let address = DatabaseAddress::parse(&format!("postgres://u@{host}/d")).unwrap();
            address.reach(&Err(Unresolved::Unknown(host.to_owned())))
        };

        assert_eq!(unresolved("db.example.com"), Reach::Remote);
        assert_eq!(unresolved("db"), Reach::Near);
        assert_eq!(unresolved("db.local"), Reach::Near);
    }

    #[test]
    fn the_farthest_of_several_servers_counts() {
        assert_eq!(reach("postgres://u@127.0.0.1,192.0.2.1/d"), Reach::Remote);
    }

    #[test]
    fn providers_are_known_by_the_end_of_a_name() {
        for host in [
            "ec2-1-2-3-4.compute-1.amazonaws.com",
            "X.NEON.TECH",
            "a.render.com.",
        ] {
            assert!(is_managed(host), "{host}");
        }
        for host in ["localhost", "notneon.tech", "amazonaws.com.example.com"] {
            assert!(!is_managed(host), "{host}");
        }
    }
}
