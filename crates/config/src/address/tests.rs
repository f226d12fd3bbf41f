//! Addresses that are accepted, refused and shown.

use super::*;

fn parsed(text: &str) -> DatabaseAddress {
    DatabaseAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn a_socket_folder_is_a_host() {
    let address = parsed("postgres://slipway@%2Ftmp%2Fslw-0/slipway_dev");

    assert!(address.is_socket() && address.is_local());
    assert_eq!(address.database(), "slipway_dev");
}

#[test]
fn loopback_is_told_from_everything_else() {
    for (text, local) in [
        ("postgres://u@localhost/d", true),
        ("postgres://u@127.0.0.2:6000/d", true),
        ("postgres://u@[::1]:6000/d", true),
        ("postgres://u@db.example.com/d", false),
        ("postgres://u@10.0.0.1/d", false),
        // libpq would dial 127.0.0.2, but what cannot be read is not local.
        ("postgres://u@2130706434/d", false),
        ("postgres://u@localhost.example.com/d", false),
    ] {
        assert_eq!(parsed(text).is_local(), local, "{text}");
    }
}

#[test]
fn whatever_could_send_the_connection_elsewhere_is_refused() {
    for text in [
        "",
        "host=localhost dbname=d",
        "mysql://u@localhost/d",
        "postgres:///d",
        "postgres://localhost/d",
        "postgres://u@localhost",
        "postgres://u@localhost/",
        "postgres://u@localhost/d?host=127.0.0.2",
        "postgres://u@localhost/d?hostaddr=127.0.0.2",
        "postgres://u@localhost/d?%68ost=127.0.0.2",
        "postgres://u@localhost/d?dbname=prod",
        "postgres://u@localhost/d?service=prod",
        "postgres://u@localhost/d?sslmode=disable",
        "postgres://localhost#@127.0.0.2/prod",
        "postgres://u@a.example.com,b.example.com/d",
        "postgres://u@localhost:notaport/d",
        "postgres://u@localhost/d%00x",
        "postgres://u:pass word@localhost/d",
    ] {
        assert!(DatabaseAddress::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_password_is_shown_nowhere() {
    let address = parsed("postgres://u:canary%27-7f3a@db.example.com/d");

    let error = DatabaseAddress::parse("postgres://u:canary-7f3a@h/d?x=1").unwrap_err();

    let shown = format!("{address:?} {} {error} {error:?}", address.redacted());
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn the_connection_string_states_every_field_and_quotes_it() {
    let address = parsed("postgres://u:it%27s@db.example.com/d");

    let string = address.connection_string(true);

    let text = string.expose_secret();
    for field in [
        "hostaddr=''",
        "password='it\\'s'",
        "sslmode='require'",
        "port='5432'",
    ] {
        assert!(text.contains(field), "{field} in {text}");
    }
}

#[test]
fn a_socket_needs_no_tls() {
    let address = parsed("postgres://u@%2Ftmp/d");

    assert!(
        address
            .connection_string(true)
            .expose_secret()
            .contains("sslmode='prefer'")
    );
}
