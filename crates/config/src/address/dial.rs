//! What libpq is told: every field, so that nothing fills one in behind our back.

use secrecy::{ExposeSecret, SecretString};

use super::libpq;
use super::{DatabaseAddress, KEYWORDS, Pinned, TlsMode, TlsPolicy};
use crate::Environ;

/// Seconds until a server that does not answer is given up.
const CONNECT_TIMEOUT_SECONDS: u8 = 5;

/// What is stated besides the address. Where the value is empty, stating it is what
/// matters: libpq would otherwise take it from a variable or a file.
const STATED: [(&str, &str); 20] = [
    // A file that cannot exist: a missing password is nobody else's.
    ("passfile", "/dev/null/none"),
    ("client_encoding", "UTF8"),
    ("options", ""),
    ("application_name", "slipway"),
    ("keepalives", "1"),
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
    // Milliseconds until unacknowledged data ends a connection; kernel defaults leave
    // a lost peer unnoticed for a quarter of an hour.
    ("tcp_user_timeout", "15000"),
    ("sslnegotiation", "postgres"),
    ("sslcompression", "0"),
    ("sslcertmode", "disable"),
    ("sslcert", ""),
    ("sslkey", ""),
    ("sslcrl", ""),
    ("sslcrldir", ""),
    ("sslsni", "1"),
    ("ssl_min_protocol_version", "TLSv1.2"),
    ("gssencmode", "disable"),
    ("load_balance_hosts", "disable"),
];

/// Variables that are refused though the fields they fill are stated: whoever sets
/// them means another place than the address does.
const MISLEADING: [&str; 4] = ["PGHOSTADDR", "PGOPTIONS", "PGSERVICE", "PGSERVICEFILE"];

/// The variables in sight that libpq would obey, or that show that somebody thinks so.
pub(crate) fn steering(environ: &Environ) -> Vec<String> {
    let stated = |name: &str| {
        KEYWORDS.contains(&name)
            || name == "hostaddr"
            || STATED.iter().any(|(stated, _)| *stated == name)
    };
    let obeyed = libpq::steered_by_variables()
        .into_iter()
        .filter(|keyword| !stated(&keyword.name))
        .map(|keyword| keyword.variable);
    let mut names: Vec<String> = MISLEADING.into_iter().map(str::to_owned).collect();
    names.extend(obeyed);
    names.sort();
    names.dedup();
    names.retain(|name| environ.get(name).is_some());
    names
}

impl DatabaseAddress {
    /// The string for libpq, for these addresses and no others.
    pub(crate) fn connection_string(&self, pinned: &[Pinned], tls: &TlsPolicy) -> SecretString {
        let local = pinned.iter().all(|pinned| pinned.ip.is_none());
        let (mode, authority) = match local {
            // A socket file has nobody in between.
            true => (TlsMode::Prefer, String::new()),
            false => tls.settle(self.wishes.tls, self.wishes.authority.as_deref()),
        };
        let list = |part: fn(&Pinned) -> String| {
            let parts: Vec<String> = pinned.iter().map(part).collect();
            parts.join(",")
        };
        let password = self
            .password
            .as_ref()
            .map_or("", |password| password.expose_secret());
        let binding = if self.wishes.channel_binding_required {
            "require"
        } else {
            "prefer"
        };
        let session = if self.wishes.only_writable {
            "read-write"
        } else {
            "any"
        };
        let timeout = self
            .wishes
            .connect_timeout_seconds
            .unwrap_or(CONNECT_TIMEOUT_SECONDS);
        let addressed = [
            ("host", list(|pinned| pinned.host.clone())),
            (
                "hostaddr",
                list(|pinned| pinned.ip.map_or_else(String::new, |ip| ip.to_string())),
            ),
            ("port", list(|pinned| pinned.port.to_string())),
            ("dbname", self.database.clone()),
            ("user", self.user.clone()),
            ("sslmode", mode.to_string()),
            ("sslrootcert", authority),
            ("connect_timeout", timeout.to_string()),
            ("channel_binding", binding.to_owned()),
            ("target_session_attrs", session.to_owned()),
        ];
        let mut text = format!("password='{}'", quote(password));
        let addressed = addressed
            .iter()
            .map(|(name, value)| (*name, value.as_str()));
        for (name, value) in addressed.chain(STATED) {
            text.push_str(&format!(" {name}='{}'", quote(value)));
        }
        SecretString::from(text)
    }
}

fn quote(value: &str) -> String {
    value.replace('\\', "\\\\").replace('\'', "\\'")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str, least: TlsMode) -> String {
        let address = DatabaseAddress::parse(text).unwrap();
        let pinned = address.resolve().unwrap();
        let policy = TlsPolicy {
            least,
            authority: None,
        };
        let string = address.connection_string(&pinned, &policy);
        string.expose_secret().to_owned()
    }

    #[test]
    fn every_field_is_stated_pinned_and_quoted() {
        let text = string("postgres://u:it%27s@127.0.0.1/d", TlsMode::Require);

        for field in [
            "host='127.0.0.1'",
            "hostaddr='127.0.0.1'",
            "password='it\\'s'",
            "sslmode='require'",
            "port='5432'",
            "options=''",
        ] {
            assert!(text.contains(field), "{field} in {text}");
        }
        // libpq takes it, and reads what was meant.
        let read = libpq::read(&text).unwrap();
        assert_eq!(read["password"], "it's");
    }

    #[test]
    fn every_variable_that_libpq_obeys_is_stated_or_refused() {
        for keyword in libpq::steered_by_variables() {
            let read = libpq::read(&string("postgres://u@127.0.0.1/d", TlsMode::Prefer)).unwrap();
            let environ = Environ::from([(keyword.variable.as_str(), "x")]);

            let refused = steering(&environ).contains(&keyword.variable);

            assert!(
                refused || read.contains_key(&keyword.name),
                "{} can be set by {}",
                keyword.name,
                keyword.variable
            );
        }
    }

    #[test]
    fn a_name_with_several_addresses_keeps_them_all() {
        let address = DatabaseAddress::parse("postgres://u@db.example.com:6000/d").unwrap();
        let pin = |ip: &str| Pinned {
            host: "db.example.com".to_owned(),
            ip: ip.parse().ok(),
            port: 6000,
        };
        let policy = TlsPolicy {
            least: TlsMode::Require,
            authority: None,
        };

        let text = address.connection_string(&[pin("::1"), pin("127.0.0.1")], &policy);

        let text = text.expose_secret();
        assert!(
            text.contains("host='db.example.com,db.example.com'"),
            "{text}"
        );
        assert!(text.contains("hostaddr='::1,127.0.0.1'"), "{text}");
        assert!(text.contains("port='6000,6000'"), "{text}");
    }

    #[test]
    fn a_socket_needs_no_tls() {
        let text = string("postgres://u@%2Ftmp/d", TlsMode::VerifyFull);

        assert!(text.contains("sslmode='prefer'"), "{text}");
    }

    #[test]
    fn variables_that_steer_libpq_are_found_by_name() {
        let environ = Environ::from([
            ("PGHOSTADDR", "192.0.2.1"),
            ("PGREQUIREPEER", "x"),
            ("PGUSER", "somebody"),
            ("PGSSLMODE", "disable"),
        ]);

        assert_eq!(steering(&environ), ["PGHOSTADDR", "PGREQUIREPEER"]);
    }
}
