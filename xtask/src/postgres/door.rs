//! A way into a test server by TCP, besides its socket: on a loopback address of its
//! own, encrypted where OpenSSL's program is there, and with a password.
//!
//! Tests of the guard need servers that can be mistaken for each other, which two
//! sockets cannot. The port is the usual one on both, so that only the address differs.

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::{BuildHasher as _, Hasher as _};
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::account::Account;
use crate::process::Group;
use crate::stop::Stop;

/// The port of every server, that of the socket's file included.
pub(crate) const PORT: u16 = 5432;
/// Making a key takes a tenth of a second.
const CERTIFICATE_LIMIT: Duration = Duration::from_secs(20);
/// How often two addresses are looked for that nobody uses.
const TRIES: u32 = 8;

/// Where a server listens, and what opens it.
#[derive(Clone, Debug)]
pub(crate) struct Door {
    /// One of 127.0.0.0/8.
    pub(crate) address: Ipv4Addr,
    /// Of the superuser.
    pub(crate) password: String,
}

impl Door {
    /// Two neighbouring addresses on which nobody listens; `None` where a machine has no
    /// more than one loopback address, or all are taken.
    pub(crate) fn pair() -> Option<(Door, Door)> {
        (0..TRIES).find_map(|_| {
            let [_, a, b, ..] = random().to_be_bytes();
            let address = |last| Ipv4Addr::new(127, a.max(1), b, last);
            let free = |last| TcpListener::bind((address(last), PORT)).is_ok();
            let door = |last| Door {
                address: address(last),
                password: format!("{:016x}", random()),
            };
            (free(1) && free(2)).then(|| (door(1), door(2)))
        })
    }

    /// The command-line settings of a server with this door; `certificate` is the stem
    /// of its certificate's files, if it has one.
    pub(crate) fn settings(&self, certificate: Option<&Path>) -> Vec<String> {
        let mut settings = vec![
            format!("listen_addresses={}", self.address),
            "password_encryption=scram-sha-256".to_owned(),
        ];
        if let Some(stem) = certificate {
            let stem = stem.display();
            settings.push("ssl=on".to_owned());
            settings.push(format!("ssl_cert_file={stem}.crt"));
            settings.push(format!("ssl_key_file={stem}.key"));
        }
        settings
    }

    /// Makes a certificate that signs itself, for this address and `localhost`, as
    /// `stem.crt` and `stem.key`; false if there is no program for it.
    pub(crate) fn certify(
        &self,
        account: &Account,
        stem: &Path,
        log: &Path,
        stop: &Stop,
    ) -> Result<bool> {
        let mut command: Command = account.command(Path::new("openssl"));
        command
            .args(["req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"])
            .args(["-pkeyopt", "ec_paramgen_curve:prime256v1"])
            .args(["-subj", "/CN=slipway test server"])
            .args([
                "-addext",
                &format!("subjectAltName=DNS:localhost,IP:{}", self.address),
            ])
            .arg("-keyout")
            .arg(stem.with_extension("key"))
            .arg("-out")
            .arg(stem.with_extension("crt"));
        let log = File::create(log)?;
        command.stdout(log.try_clone()?).stderr(log);
        let Ok(mut making) = Group::start(&mut command, "openssl") else {
            return Ok(false);
        };
        Ok(making.wait(CERTIFICATE_LIMIT, stop)?.success())
    }
}

/// Random enough for an address and for a password that lives for minutes on loopback.
fn random() -> u64 {
    RandomState::new().build_hasher().finish()
}
