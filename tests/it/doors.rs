//! What is decided about a request before anybody asks who sends it: by what name and
//! scheme it came, from where, from which site, and how slowly.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context, Result};
use reqwest::{Client, RequestBuilder, StatusCode, redirect};
use serde_json::json;
use slipway_tests::{CHUNK_TYPE, Site, Tus};

const PRESENT: (&str, &str) = ("SLIPWAY__SERVER__ROUTER", "present");
const SECURE: (&str, &str) = ("SLIPWAY__SESSIONS__SECURE_COOKIES", "true");

fn client() -> Result<Client> {
    Ok(Client::builder()
        .redirect(redirect::Policy::none())
        .build()?)
}

fn wrong_password(site: &Site) -> Result<RequestBuilder> {
    let url = format!("{}/api/v1/session", site.url());
    let guess = json!({"email": "nobody@example.com", "password": "wrong horse"});
    Ok(client()?.post(url).json(&guess))
}

/// Where the newest event of the trail says that it came from.
fn network(site: &Site) -> Result<String> {
    let rows = site
        .database()
        .query("SELECT network AS value FROM security_events ORDER BY id DESC LIMIT 1")?;
    rows.into_iter().next().context("no event")
}

#[tokio::test]
async fn without_a_router_no_header_says_who_asks() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__SERVER__ROUTER", "none")])?;

    for (name, value) in [
        ("Forwarded", "for=203.0.113.9;proto=https;host=evil.example"),
        ("X-Forwarded-For", "203.0.113.9"),
        ("X-Forwarded-For", "203.0.113.9, 198.51.100.7"),
        ("X-Real-IP", "203.0.113.9"),
        ("True-Client-IP", "203.0.113.9"),
    ] {
        let answer = wrong_password(&site)?.header(name, value).send().await?;
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
        assert!(!answer.headers().contains_key("strict-transport-security"));
        assert_eq!(network(&site)?, "127.0.0.0/24", "{name}: {value}");
    }
    Ok(())
}

#[tokio::test]
async fn behind_a_router_only_its_own_word_is_believed() -> Result<()> {
    let site = Site::start_with(&[PRESENT])?;

    for (headers, expected) in [
        (&[("X-Forwarded-For", "203.0.113.9")][..], "203.0.113.0/24"),
        (
            &[("X-Forwarded-For", "10.1.1.1, 203.0.113.9")],
            "203.0.113.0/24",
        ),
        (
            &[
                ("X-Forwarded-For", "10.1.1.1"),
                ("X-Forwarded-For", "10.2.2.2,203.0.113.9"),
            ],
            "203.0.113.0/24",
        ),
        (
            &[
                ("Forwarded", "for=10.1.1.1"),
                ("X-Forwarded-For", "2001:db8:1:2:3::9"),
            ],
            "2001:db8:1:2::/64",
        ),
        (&[("Forwarded", "for=10.1.1.1")], "127.0.0.0/24"),
    ] {
        let mut guess = wrong_password(&site)?;
        for (name, value) in headers {
            guess = guess.header(*name, *value);
        }
        assert_eq!(guess.send().await?.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(network(&site)?, expected, "{headers:?}");
    }
    Ok(())
}

#[tokio::test]
async fn a_page_asked_for_without_tls_is_sent_to_where_there_is_some() -> Result<()> {
    let site = Site::start_with(&[PRESENT, SECURE])?;
    let ask = |path: &str, scheme: &'static str| -> Result<RequestBuilder> {
        let request = client()?.get(format!("{}{path}", site.url()));
        Ok(request.header("X-Forwarded-Proto", scheme))
    };

    let plain = ask("/sign-in?next=%2F", "http")?.send().await?;
    assert_eq!(plain.status(), StatusCode::PERMANENT_REDIRECT);
    let host = site.url().replace("http://", "https://");
    assert_eq!(
        plain.headers()["location"],
        format!("{host}/sign-in?next=%2F")
    );
    assert!(!plain.headers().contains_key("strict-transport-security"));
    let spoofed = ask("/sign-in", "https, http")?.send().await?;
    assert_eq!(spoofed.status(), StatusCode::PERMANENT_REDIRECT);

    let secure = ask("/sign-in", "https")?.send().await?;
    assert_eq!(secure.status(), StatusCode::OK);
    let hsts = secure.headers()["strict-transport-security"].to_str()?;
    assert!(hsts.starts_with("max-age=31536000"), "{hsts}");
    let posted = wrong_password(&site)?.header("X-Forwarded-Proto", "http");
    assert_eq!(posted.send().await?.status(), StatusCode::FORBIDDEN);
    let probed = ask("/healthz", "http")?.send().await?;
    assert_eq!(probed.status(), StatusCode::OK);
    Ok(())
}

#[tokio::test]
async fn a_site_answers_to_its_own_names_alone() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__SERVER__HOSTS", "files.example.com")])?;

    for (host, status) in [
        ("files.example.com", 200),
        ("FILES.example.com:8443", 200),
        ("evil.example", 421),
        ("files.example.com.evil.example", 421),
        ("127.0.0.1", 421),
        ("", 421),
    ] {
        let answer = raw(&site, &format!("GET /sign-in HTTP/1.1\r\nHost: {host}\r\n"))?;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{host}: {answer}"
        );
    }
    let twice = "GET /sign-in HTTP/1.1\r\nHost: files.example.com\r\nHost: evil.example\r\n";
    assert!(!raw(&site, twice)?.starts_with("HTTP/1.1 200"));
    let forwarded =
        "GET /sign-in HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: files.example.com\r\n";
    assert!(raw(&site, forwarded)?.starts_with("HTTP/1.1 421"));
    // A platform asks by the address.
    assert!(raw(&site, "GET /readyz HTTP/1.1\r\nHost: 10.0.0.1\r\n")?.starts_with("HTTP/1.1 200"));
    Ok(())
}

/// What a request of these lines is answered.
fn raw(site: &Site, head: &str) -> Result<String> {
    let address = site.url().replace("http://", "");
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    write!(stream, "{head}Connection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[tokio::test]
async fn other_sites_move_nothing_by_a_cookie_not_even_a_websocket() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let cookie = crate::access::cookie(&site, &who.email).await?;
    let http = client()?;
    let upgrade = || {
        http.get(format!("{}/live", site.url()))
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Protocol", "slipway.progress.v1")
            .header("Cookie", &cookie)
    };
    let create = || {
        http.post(format!("{}/files/", site.url()))
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", 5)
            .header("Cookie", &cookie)
    };
    let token = || {
        http.post(format!("{}/account/tokens", site.url()))
            .header("Cookie", &cookie)
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body("name=x&days=1&read=on")
    };

    let requests: [&dyn Fn() -> RequestBuilder; 3] = [&upgrade, &create, &token];
    for request in requests {
        for foreign in [
            request(),
            request().header("Sec-Fetch-Site", "cross-site"),
            request().header("Sec-Fetch-Site", "same-site"),
            request().header("Sec-Fetch-Site", "none"),
            request().header("Origin", "https://evil.example"),
            request().header("Origin", "null"),
        ] {
            assert_eq!(foreign.send().await?.status(), StatusCode::FORBIDDEN);
        }
        let own = request().header("Origin", site.url()).send().await?;
        assert_ne!(own.status(), StatusCode::FORBIDDEN);
    }
    Ok(())
}

#[tokio::test]
async fn a_patch_from_another_site_needs_the_key_and_no_cookie_helps() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let cookie = crate::access::cookie(&site, &who.email).await?;
    let upload = Tus::create(&site.url(), &who, 5, "").await?;
    let patch = |url: &str| {
        Client::new()
            .patch(url)
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Offset", 0)
            .header("Content-Type", CHUNK_TYPE)
            .header("Origin", "https://evil.example")
            .header("Cookie", &cookie)
            .body("bytes")
    };

    let guessed = format!("{}/files/{}", site.url(), upload.id());
    assert_eq!(
        patch(&guessed).send().await?.status(),
        StatusCode::NOT_FOUND
    );
    let forged = format!("{guessed}.AAAAAAAAAAAAAAAAAAAAAA");
    assert_eq!(patch(&forged).send().await?.status(), StatusCode::NOT_FOUND);
    let keyed = patch(&upload.url).send().await?;
    assert_eq!(keyed.status(), StatusCode::NO_CONTENT);
    let allowed = keyed.headers().get("access-control-allow-origin");
    assert_eq!(allowed, None, "and its page cannot read the answer");
    Ok(())
}

#[tokio::test]
async fn a_network_that_asks_too_often_is_told_when_to_come_back() -> Result<()> {
    let site = Site::start_with(&[PRESENT, ("SLIPWAY__SERVER__REQUESTS_PER_SECOND", "1")])?;
    let http = client()?;
    let ask = async |from: &'static str| {
        let request = http.get(format!("{}/sign-in", site.url()));
        request.header("X-Forwarded-For", from).send().await
    };

    let mut answers = Vec::new();
    for _ in 0..50 {
        answers.push(ask("203.0.113.9").await?);
    }

    let refused = answers
        .iter()
        .find(|answer| answer.status() == StatusCode::TOO_MANY_REQUESTS)
        .context("none was refused")?;
    assert!(refused.headers().contains_key("retry-after"));
    let neighbour = ask("203.0.113.200").await?;
    assert_eq!(neighbour.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(ask("198.51.100.7").await?.status(), StatusCode::OK);
    Ok(())
}

#[test]
fn a_small_body_that_does_not_come_is_not_waited_for() -> Result<()> {
    let site = Site::start()?;

    let answer = raw(
        &site,
        "POST /sign-in HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: same-origin\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n",
    )?;

    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    Ok(())
}

#[tokio::test]
async fn a_fault_is_logged_once_and_shown_as_a_number() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    site.database()
        .execute("ALTER TABLE jobs RENAME COLUMN kind TO broken")?;

    let answer = Client::new()
        .get(format!("{}/api/v1/jobs", site.url()))
        .bearer_auth(&who.token)
        .send()
        .await?;

    assert_eq!(answer.status(), StatusCode::INTERNAL_SERVER_ERROR);
    let id = answer.headers()["x-request-id"].to_str()?.to_owned();
    let told = answer.text().await?;
    assert!(told.contains(&id) && !told.contains("broken"), "{told}");
    let log = site.log();
    let failed = log.lines().filter(|line| line.contains(&id));
    let failed = failed.filter(|line| line.contains("ERROR"));
    assert_eq!(failed.count(), 1, "{log}");
    Ok(())
}
