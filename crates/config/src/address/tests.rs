//! Addresses that are accepted, refused and shown.

use super::*;

fn parsed(text: &str) -> DatabaseAddress {
    DatabaseAddress::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn the_forms_that_platforms_hand_out_are_read() {
    for (text, shown) in [
        (
            "postgres://u:p@db.example.com:6000/d",
            "u:[redacted] at db.example.com:6000/d",
        ),
        (
            "postgresql://u@db.example.com/d",
            "u at db.example.com:5432/d",
        ),
        (
            "postgres://u@%2Ftmp%2Fslw-0/slipway_dev",
            "u at /tmp/slw-0:5432/slipway_dev",
        ),
        (
            "postgres:///d?host=/tmp/s&user=u&port=6000",
            "u at /tmp/s:6000/d",
        ),
        ("postgres://u@[::1]:6000/d", "u at ::1:6000/d"),
        (
            "postgres://u@a.example.com:1,b.example.com:2/d",
            "u at a.example.com:1,b.example.com:2/d",
        ),
        (
            "postgres://u@h/d?sslmode=require&connect_timeout=9",
            "u at h:5432/d",
        ),
        ("postgres://u@h/d?ssl=true", "u at h:5432/d"),
    ] {
        assert_eq!(parsed(text).redacted(), shown, "{text}");
    }
    assert_eq!(
        parsed("postgres://u@h/d?ssl=true").tls(),
        Some(TlsMode::Require)
    );
}

#[test]
fn whatever_could_send_the_connection_elsewhere_is_refused() {
    for text in [
        "",
        "host=localhost dbname=d user=u",
        "host=localhost host=127.0.0.2 dbname=d user=u",
        "mysql://u@localhost/d",
        "postgres:///d",
        "postgres://localhost/d",
        "postgres://u@localhost",
        "postgres://u@localhost/",
        "postgres://u@localhost/d?service=prod",
        "postgres:///d?hostaddr=127.0.0.2&user=u",
        "postgres://u@localhost/d?HOST=127.0.0.2",
        "postgres://u@localhost/d?options=-csearch_path%3Dx",
        "postgres://u@localhost/d?passfile=/tmp/x",
        "postgres://u@localhost/d?sslmode=disable&ssl=true",
        "postgres://u@localhost/d?sslmode=require&sslmode=disable",
        "postgres://u@localhost/d?sslmode=always",
        "postgres://localhost#@127.0.0.2/prod",
        "postgres://u@localhost:notaport/d",
        "postgres://u@localhost:0/d",
        "postgres://u@localhost:65536/d",
        "postgres://u@a,,b/d",
        "postgres://u@localhost/d%00x",
        "postgres://u@%40abstract/d",
        "postgres://u:pass word@localhost/d",
        "postgres://u:what?host=x@localhost/d",
        "postgres://u@localhost/d?connect_timeout=600",
        "postgres://u@localhost/d?channel_binding=disable",
    ] {
        assert!(DatabaseAddress::parse(text).is_err(), "{text}");
    }
}

#[test]
fn a_part_that_is_said_again_behind_the_question_mark_is_told_apart() {
    for text in [
        "postgres://u@localhost/dev?host=127.0.0.2",
        "postgres://u@localhost/dev?%68ost=127.0.0.2",
        "postgres://u@localhost/dev?hostaddr=127.0.0.2",
        "postgres://u@localhost:5432/dev?port=5433",
        "postgres://u@localhost/dev?dbname=prod",
        "postgres://u@localhost/dev?user=admin",
    ] {
        let error = DatabaseAddress::parse(text).unwrap_err();
        assert!(error.overridden, "{text}: {error}");
    }
}

#[test]
fn a_password_is_shown_nowhere() {
    let address = parsed("postgres://u:canary%27-7f3a@db.example.com/d");

    let errors = [
        "postgres://u:canary-7f3a@h/d?x=1",
        // Not encoded: the first @ ends the user, and the rest would be the host.
        "postgres://u:canary@7f3a@h/d",
        "postgres://u:x@canary@h/d",
        "postgres://u:canary/x@h/d",
    ]
    .map(|text| DatabaseAddress::parse(text).unwrap_err());

    let shown = format!("{address:?} {} {errors:?}", address.redacted());
    assert!(!shown.contains("canary"), "{shown}");
}
