//! Ways in which an address, a variable or a file has led somebody's command to another
//! database than the one they read. Each is tried on a database that would be destroyed.

use anyhow::Result;
use secrecy::ExposeSecret;

use super::{Pair, door, on_laptop, statements, stderr_of, watch};

/// An address by its parts.
struct Parts<'a> {
    credentials: &'a str,
    ip: &'a str,
    name: &'a str,
}

fn parts(url: &str) -> Option<Parts<'_>> {
    let (credentials, rest) = url.strip_prefix("postgres://")?.split_once('@')?;
    let (ip, name) = rest.split_once('/')?;
    Some(Parts {
        credentials,
        ip,
        name,
    })
}

/// One probe: what is in `DATABASE_URL`, what else is set, and the rule that answers.
type Probe = (String, Vec<(&'static str, String)>, &'static str);

fn probes(own: &Parts<'_>, production: &Parts<'_>) -> Vec<Probe> {
    let Parts {
        credentials,
        ip,
        name,
    } = own;
    let (far, prod) = (production.ip, production.name);
    let login = production.credentials;
    let numeric = far.parse::<std::net::Ipv4Addr>().map_or(0, u32::from);
    let local = format!("postgres://{credentials}@{ip}/{name}");
    let url = |text: String, rule| (text, vec![], rule);
    let steered = |variables: &[(&'static str, &str)], rule| {
        let owned = variables
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        (local.clone(), owned.collect(), rule)
    };
    vec![
        url(format!("{local}?host={far}"), "A4"),
        url(format!("{local}?hostaddr={far}"), "A4"),
        url(format!("{local}?%68ost={far}"), "A4"),
        url(format!("{local}?dbname={prod}"), "A4"),
        url(format!("{local}?user=postgres"), "A4"),
        url(format!("{local}?service=prod"), "A2"),
        url(format!("{local}?sslmode=disable&ssl=true"), "A2"),
        url(format!("{local}?HOST={far}"), "A2"),
        url(
            format!("postgres:///{name}?hostaddr={far}&user=slipway"),
            "A2",
        ),
        url(format!("postgres:///{name}"), "A2"),
        url(format!("postgres://{ip}#@{far}/{prod}"), "A2"),
        url(
            format!("host={ip} dbname={name} user=slipway host={far}"),
            "A2",
        ),
        url(format!("postgres://{credentials}@{ip},{far}/{name}"), "A3"),
        steered(&[("PGHOSTADDR", far)], "A2"),
        steered(&[("PGSERVICE", "prod")], "A2"),
        steered(&[("PGSERVICEFILE", "service.conf")], "A2"),
        steered(&[("PGOPTIONS", "-csearch_path=x")], "A2"),
        steered(&[("PGPORT", "5433")], "A2"),
        (
            String::new(),
            vec![("PGHOST", far.to_owned()), ("PGDATABASE", prod.to_owned())],
            "A2",
        ),
        // libpq would get there; so do we, to be told by the stamp what it is.
        url(format!("postgres://{login}@{far}/{prod}"), "B9"),
        url(format!("postgres://{login}@{numeric}/{prod}"), "B9"),
        url(format!("postgres://{login}@{numeric:#x}/{prod}"), "B9"),
        url(
            format!("postgres://{login}@{}/{prod}", far.replace('.', "%2e")),
            "B9",
        ),
        url(format!("postgres://{login}@[::ffff:{far}]/{prod}"), "B9"),
        url(
            format!(
                "postgresql:///{prod}?host={far}&user=slipway&password={}",
                password(login)
            ),
            "B9",
        ),
    ]
}

fn password(credentials: &str) -> &str {
    credentials
        .split_once(':')
        .map_or("", |(_, password)| password)
}

#[test]
fn no_trick_of_an_address_or_a_variable_leads_to_production() -> Result<()> {
    let Some(pair) = Pair::make()? else {
        return Ok(());
    };
    let (own, production) = (door(&pair.own)?, door(&pair.production)?);
    let (Some(own), Some(far)) = (parts(own), parts(production)) else {
        anyhow::bail!("a door is no address");
    };
    watch(&pair.production)?;

    let mut reached = 0;
    for (url, variables, rule) in probes(&own, &far) {
        let mut environment: Vec<(&str, &str)> = vec![("DATABASE_URL", &url)];
        environment.extend(
            variables
                .iter()
                .map(|(name, value)| (*name, value.as_str())),
        );
        let before = statements(&pair.production)?.len();

        let output = on_laptop(&["account", "add", "eve@example.com"], &environment)?;

        let told = stderr_of(&output);
        assert_eq!(output.status.code(), Some(2), "{url} {variables:?}: {told}");
        assert!(
            told.contains(&format!("rule {rule}:")),
            "{url} {variables:?}: {told}"
        );
        assert!(!told.contains(password(far.credentials)), "{told}");
        let sent = statements(&pair.production)?.split_off(before);
        if rule.starts_with('A') {
            assert!(sent.is_empty(), "{url} {variables:?}: {sent:?}");
        } else {
            reached += 1;
            assert!(
                sent.iter().all(|sql| super::only_looks(sql)),
                "{url}: {sent:?}"
            );
        }
    }
    assert_eq!(reached, 6);
    assert!(
        !statements(&pair.production)?.is_empty(),
        "nothing was noted at all"
    );
    Ok(())
}

#[test]
fn a_service_file_that_holds_another_address_is_not_read() -> Result<()> {
    let Some(pair) = Pair::make()? else {
        return Ok(());
    };
    let Some(far) = parts(door(&pair.production)?) else {
        anyhow::bail!("a door is no address");
    };
    let home = std::env::temp_dir().join(format!("slipway-home-{}", std::process::id()));
    std::fs::create_dir_all(&home)?;
    let services = home.join(".pg_service.conf");
    std::fs::write(&services, format!("[prod]\nhostaddr={}\n", far.ip))?;
    std::fs::write(
        home.join(".pgpass"),
        format!("*:*:*:*:{}\n", password(far.credentials)),
    )?;
    let (home, services) = (home.display().to_string(), services.display().to_string());
    watch(&pair.production)?;
    let own = door(&pair.own)?;

    let named = on_laptop(
        &["account", "list"],
        &[
            ("DATABASE_URL", own),
            ("HOME", &home),
            ("PGSERVICE", "prod"),
            ("PGSERVICEFILE", &services),
        ],
    )?;
    // The file alone, where libpq looks for it, changes nothing; nor do its passwords.
    let beside = on_laptop(
        &["account", "list"],
        &[("DATABASE_URL", own), ("HOME", &home)],
    )?;
    let bare = own.replace(
        &format!(
            ":{}@",
            password(parts(own).map_or("", |own| own.credentials))
        ),
        "@",
    );
    let passwordless = on_laptop(
        &["account", "list"],
        &[("DATABASE_URL", &bare), ("HOME", &home)],
    )?;

    assert_eq!(named.status.code(), Some(2), "{}", stderr_of(&named));
    assert_eq!(beside.status.code(), Some(0), "{}", stderr_of(&beside));
    assert_eq!(
        passwordless.status.code(),
        Some(1),
        "{}",
        stderr_of(&passwordless)
    );
    assert_eq!(statements(&pair.production)?, Vec::<String>::new());
    std::fs::remove_dir_all(home)?;
    Ok(())
}

#[test]
fn harmless_variables_and_forms_lead_where_they_read() -> Result<()> {
    let Some(pair) = Pair::make()? else {
        return Ok(());
    };
    let own = door(&pair.own)?;
    let Some(Parts {
        credentials,
        ip,
        name,
    }) = parts(own)
    else {
        anyhow::bail!("a door is no address");
    };
    let socket = pair.own.url().expose_secret();
    for (url, variable) in [
        (own.to_owned(), ("PGHOST", "192.0.2.1")),
        (
            own.replace("postgres://", "postgresql://"),
            ("PGDATABASE", "prod"),
        ),
        (
            format!("postgres://{credentials}@{ip}:5432/{name}"),
            ("PGPORT", "1"),
        ),
        (
            format!("{own}?sslmode=prefer&connect_timeout=3"),
            ("PGUSER", "nobody"),
        ),
        (socket.to_owned(), ("PGSSLMODE", "verify-full")),
    ] {
        let output = on_laptop(&["account", "list"], &[("DATABASE_URL", &url), variable])?;

        assert_eq!(
            output.status.code(),
            Some(0),
            "{url}: {}",
            stderr_of(&output)
        );
    }
    Ok(())
}
