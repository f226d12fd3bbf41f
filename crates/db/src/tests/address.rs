//! What we say of an address is what libpq says of the connection it leads to.
//!
//! Addresses are put together by chance from everything that libpq understands and
//! people get wrong; each that we accept is dialled twice, as it stands and as we
//! rebuild it, on real servers.

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use secrecy::ExposeSecret;
use slipway_config::{Access, DatabaseSettings, Environ, Live, TlsMode, approve};

use crate::testing::{TestDatabase, skip};

/// Addresses that are tried; about one in five can be connected to.
const CASES: u32 = 800;

/// Fewer than this many connections would prove nothing.
const COMPARED_MIN: u32 = 60;

/// Forms of one host.
fn hosts(ip: &str) -> Vec<String> {
    let number = u32::from(ip.parse::<std::net::Ipv4Addr>().unwrap());
    vec![
        ip.to_owned(),
        number.to_string(),
        format!("{number:#x}"),
        ip.replace('.', "%2e"),
        format!("{ip},{ip}"),
        format!("{ip}#@{ip}"),
        String::new(),
    ]
}

fn parameters(ip: &str, database: &str) -> Vec<String> {
    vec![
        String::new(),
        format!("host={ip}"),
        format!("%68ost={ip}"),
        format!("hostaddr={ip}"),
        format!("dbname={database}"),
        "port=5432".to_owned(),
        "sslmode=prefer".to_owned(),
        "sslmode=disable&ssl=true".to_owned(),
        "sslmode=require".to_owned(),
        "connect_timeout=3".to_owned(),
        "channel_binding=prefer".to_owned(),
        "target_session_attrs=any".to_owned(),
        "application_name=x".to_owned(),
        "options=-cgeqo%3Doff".to_owned(),
        "HOST=x".to_owned(),
        "user=nobody".to_owned(),
    ]
}

#[test]
fn what_is_reported_is_what_libpq_connects_to() {
    let database = TestDatabase::create().unwrap();
    let other = TestDatabase::create_on_other().unwrap();
    let door = |database: &TestDatabase| database.door().map(|url| url.expose_secret().to_owned());
    let (Some(one), Some(two)) = (door(&database), other.as_ref().and_then(door)) else {
        skip("the servers of this run have no doors").unwrap();
        return;
    };
    let (credentials, ip, name) = parts(&one);
    let (_, other_ip, other_name) = parts(&two);
    let strategy = (
        prop::sample::select(vec!["postgres://", "postgresql://"]),
        prop::sample::select([hosts(&ip), hosts(&other_ip)].concat()),
        prop::sample::select(vec!["", ":5432", ":05432", ":"]),
        prop::sample::select(vec![
            name.clone(),
            name.replace('_', "%5f"),
            other_name.clone(),
        ]),
        prop::collection::vec(
            prop::sample::select(parameters(&other_ip, &other_name)),
            0..2,
        ),
    );
    let compared = std::cell::Cell::new(0);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };

    TestRunner::new(config)
        .run(&strategy, |(scheme, host, port, name, parameters)| {
            let parameters = parameters.join("&");
            let text = format!("{scheme}{credentials}@{host}{port}/{name}?{parameters}");
            if let Some((ours, theirs)) = both(&text) {
                compared.set(compared.get() + 1);
                prop_assert_eq!(ours, theirs, "{}", text);
            }
            Ok(())
        })
        .unwrap();

    let compared = compared.get();
    assert!(compared >= COMPARED_MIN, "{compared} connections");
}

/// What libpq says of the connection that it makes by itself, and of the one that we
/// have it make; nothing if we refuse the address, or nobody is there.
fn both(text: &str) -> Option<(Live, Live)> {
    let environ = Environ::from([("SLIPWAY_ENV", "development"), ("DATABASE_URL", text)]);
    let settings = DatabaseSettings {
        pool_max: 2,
        processes: 1,
        tls: TlsMode::Prefer,
        tls_authority: None,
        remote_hosts: vec![],
    };
    let approved = approve(&environ, &settings, Access::Look).ok()?;
    let ours = Live::by(approved.dial().ok()?.expose_secret());
    let theirs = Live::by(text);
    // Whatever we accept, either both of us reach or none.
    assert_eq!(ours.is_some(), theirs.is_some(), "{text}");
    let (ours, mut theirs) = (ours?, theirs?);
    // libpq keeps the digits as they were written.
    theirs.port = theirs.port.trim_start_matches('0').to_owned();
    let told = approved.redacted();
    let shown = format!(
        "{}:[redacted] at {}:{}/{}",
        ours.user, ours.host, ours.port, ours.database
    );
    assert_eq!(told, shown, "{text}");
    Some((ours, theirs))
}

/// Credentials, address and database of a door.
fn parts(url: &str) -> (String, String, String) {
    let rest = url.strip_prefix("postgres://").unwrap();
    let (credentials, rest) = rest.split_once('@').unwrap();
    let (ip, name) = rest.split_once('/').unwrap();
    (credentials.to_owned(), ip.to_owned(), name.to_owned())
}
