//! A database address in five variables, for platforms that hand out no URL.
//!
//! It never fills a gap from elsewhere but for the port, and no message of it
//! contains a value.

use secrecy::{ExposeSecret, SecretString};

use super::{DatabaseAddress, InvalidAddress, PORT_DEFAULT, Place, Wishes, plain, port};
use crate::Environ;

const HOST: &str = "DATABASE_HOST";
const PORT: &str = "DATABASE_PORT";
const NAME: &str = "DATABASE_NAME";
const USER: &str = "DATABASE_USER";
const PASSWORD: &str = "DATABASE_PASSWORD";

/// What the `DATABASE_*` variables say; at least one of them is set.
#[derive(Debug)]
pub(crate) struct Components {
    host: Option<String>,
    port: Option<u16>,
    database: Option<String>,
    user: Option<String>,
    password: Option<SecretString>,
}

impl Components {
    /// The names of all five.
    pub(crate) const NAMES: [&str; 5] = [HOST, PORT, NAME, USER, PASSWORD];

    /// Reads them; `None` when none is set.
    ///
    /// # Errors
    /// Names the variable that cannot be used, never what it holds.
    pub(crate) fn read(environ: &Environ) -> Result<Option<Self>, InvalidAddress> {
        if Self::NAMES.iter().all(|name| environ.get(name).is_none()) {
            return Ok(None);
        }
        let owned = |name| environ.get(name).map(str::to_owned);
        let port = match environ.get(PORT) {
            None => None,
            Some(text) => Some(port(text).ok_or(InvalidAddress::new(
                "DATABASE_PORT is not a number from 1 to 65535",
            ))?),
        };
        let components = Self {
            host: environ.get(HOST).map(|host| bare(host).to_owned()),
            port,
            database: owned(NAME),
            user: owned(USER),
            password: environ.get(PASSWORD).map(SecretString::from),
        };
        if components.host.as_deref().is_some_and(|host| !plain(host)) {
            return Err(InvalidAddress::new(
                "DATABASE_HOST is neither one host's name or address nor a socket's folder",
            ));
        }
        Ok(Some(components))
    }

    /// The address they name by themselves.
    ///
    /// # Errors
    /// Names a variable that is missing or cannot be used.
    pub(crate) fn into_address(self) -> Result<DatabaseAddress, InvalidAddress> {
        let missing = InvalidAddress::new;
        DatabaseAddress {
            places: vec![Place {
                host: self.host.ok_or(missing("DATABASE_HOST is not set"))?,
                port: self.port.unwrap_or(PORT_DEFAULT),
            }],
            database: self.database.ok_or(missing("DATABASE_NAME is not set"))?,
            user: self.user.ok_or(missing("DATABASE_USER is not set"))?,
            password: self.password,
            port_said: self.port.is_some(),
            wishes: Wishes::default(),
        }
        .checked()
    }

    /// The variables that contradict an address, by name. One that is not set
    /// contradicts nothing.
    pub(crate) fn contradicting(&self, address: &DatabaseAddress) -> Vec<&'static str> {
        let password = address.password.as_ref().map(ExposeSecret::expose_secret);
        // One component cannot say what several servers are.
        let [place] = address.places.as_slice() else {
            return vec![HOST];
        };
        let said = [
            (HOST, differs(self.host.as_deref(), &place.host)),
            (PORT, differs(self.port, place.port)),
            (NAME, differs(self.database.as_deref(), &address.database)),
            (USER, differs(self.user.as_deref(), &address.user)),
            (
                PASSWORD,
                differs(
                    self.password
                        .as_ref()
                        .map(|said| Some(said.expose_secret())),
                    password,
                ),
            ),
        ];
        said.into_iter()
            .filter_map(|(name, differs)| differs.then_some(name))
            .collect()
    }
}

fn differs<T: PartialEq>(said: Option<T>, address: T) -> bool {
    said.is_some_and(|said| said != address)
}

/// An IPv6 address without the brackets that only a URL needs.
fn bare(host: &str) -> &str {
    host.trim_start_matches('[').trim_end_matches(']')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::Reach;

    const ALL: [(&str, &str); 5] = [
        (HOST, "db.example.com"),
        (PORT, "6000"),
        (NAME, "d"),
        (USER, "u"),
        (PASSWORD, "it's"),
    ];

    fn read(environ: impl Into<Environ>) -> Components {
        Components::read(&environ.into()).unwrap().unwrap()
    }

    #[test]
    fn components_name_the_database_that_the_same_url_names() {
        let url = DatabaseAddress::parse("postgres://u:it%27s@db.example.com:6000/d").unwrap();

        let components = read(ALL);

        assert!(components.contradicting(&url).is_empty());
        let address = components.into_address().unwrap();
        assert_eq!(address.redacted(), url.redacted());
        assert!(address.is_same_database(&url));
        let password = |address: &DatabaseAddress| {
            let password = address.password.as_ref().unwrap();
            password.expose_secret().to_owned()
        };
        assert_eq!(password(&address), password(&url));
    }

    #[test]
    fn each_component_that_contradicts_a_url_is_named() {
        for (text, named) in [
            ("postgres://u:it%27s@other.example.com:6000/d", HOST),
            ("postgres://u:it%27s@db.example.com:6001/d", PORT),
            ("postgres://u:it%27s@db.example.com:6000/e", NAME),
            ("postgres://v:it%27s@db.example.com:6000/d", USER),
            ("postgres://u:its@db.example.com:6000/d", PASSWORD),
            ("postgres://u@db.example.com:6000/d", PASSWORD),
        ] {
            let url = DatabaseAddress::parse(text).unwrap();

            assert_eq!(read(ALL).contradicting(&url), [named], "{text}");
        }
    }

    #[test]
    fn an_address_in_brackets_is_the_one_without() {
        let url = DatabaseAddress::parse("postgres://u@[::1]/d").unwrap();

        let components = read([(HOST, "::1"), (NAME, "d"), (USER, "u")]);

        assert!(components.contradicting(&url).is_empty());
        let address = components.into_address().unwrap();
        assert_eq!(address.reach(&address.resolve()), Reach::Local);
    }

    #[test]
    fn a_missing_component_is_named_and_the_port_has_a_default() {
        for (environ, told) in [
            (Environ::from([(NAME, "d"), (USER, "u")]), HOST),
            (Environ::from([(HOST, "h"), (USER, "u")]), NAME),
            (Environ::from([(HOST, "h"), (NAME, "d")]), USER),
        ] {
            let error = read(environ).into_address().unwrap_err();
            assert_eq!(error.to_string(), format!("{told} is not set"));
        }
        let whole = read([(HOST, "/tmp/s"), (NAME, "d"), (USER, "u")]);
        let address = whole.into_address().unwrap();
        assert_eq!(address.redacted(), "u at /tmp/s:5432/d");
    }

    #[test]
    fn a_component_that_could_send_the_connection_elsewhere_is_refused() {
        for host in [
            "a.example.com,b.example.com",
            "@abstract",
            "localhost:6000",
            "localhost#.example.com",
            "postgres://u@h/d",
            "a b",
            "h\\",
            "%2Ftmp",
            "/tmp,/run",
            "a\0",
        ] {
            let environ = Environ::from([(HOST, host), (NAME, "d"), (USER, "u")]);
            assert!(Components::read(&environ).is_err(), "{host}");
        }
        for text in ["tcp://127.0.0.1:5432", "-1", "+1", "0", "65536"] {
            assert!(
                Components::read(&Environ::from([(PORT, text)])).is_err(),
                "{text}"
            );
        }
        let other = [(HOST, "localhost"), (NAME, "d/e"), (USER, "u")];
        assert!(read(other).into_address().is_err());
    }

    #[test]
    fn no_value_is_shown() {
        let canary = [
            (HOST, "canary/7f3a"),
            (PORT, "canary"),
            (PASSWORD, "canary"),
        ];

        let host = Components::read(&Environ::from([canary[0]])).unwrap_err();
        let port = Components::read(&Environ::from([canary[1]])).unwrap_err();
        let password = read([canary[2]]);

        let shown = format!("{host} {host:?} {port} {port:?} {password:?}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}
