//! Chooses the port to serve on: the wanted one, or the next that is free.
//!
//! A port is only looked at, not kept: should somebody take it in the moment before the
//! server does, the server says so itself.

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

use crate::say;

/// Ports tried in a row; so many taken ones mean that the wanted one was a bad idea.
const TRIES: u16 = 50;

/// The first free port from `wanted` upwards; says so if it is another one.
pub(crate) fn choose(wanted: u16) -> Result<u16> {
    let last = wanted.saturating_add(TRIES - 1);
    // Listening on all addresses fails also when somebody has the port on one of them.
    match (wanted..=last).find(|port| TcpListener::bind((Ipv4Addr::UNSPECIFIED, *port)).is_ok()) {
        Some(port) => {
            if port != wanted {
                say::step("port", format_args!("{wanted} is taken, using {port}"));
            }
            Ok(port)
        }
        None => {
            bail!("ports {wanted} to {last} are all taken or forbidden, give another with --port")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::choose;

    #[test]
    fn a_taken_port_is_passed_over() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let wanted = taken.local_addr().unwrap().port();

        let port = choose(wanted);

        assert!(port.is_err() || port.is_ok_and(|port| port > wanted));
    }
}
