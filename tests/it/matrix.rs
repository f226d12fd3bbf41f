//! Who may use which route: every route, tried as everybody.
//!
//! A route that has no row here fails, and so does a row that has no route.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use reqwest::header::{CONTENT_TYPE, COOKIE};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use slipway_tests::{CHUNK_TYPE, Site, Tus, Who, sha256};

/// Callers, in the order of the columns. The upload, its job and its key are the
/// owner's; so are the tokens, each with one scope, but for the last: that is an
/// administrator's token to read.
const CALLERS: [Caller; 8] = [
    Caller::Nobody,
    Caller::Person("other@example.com"),
    Caller::Person("owner@example.com"),
    Caller::Person("admin@example.com"),
    Caller::Token("owner@example.com", "upload"),
    Caller::Token("owner@example.com", "read"),
    Caller::Token("owner@example.com", "admin"),
    Caller::Token("admin@example.com", "read"),
];

/// What each is answered: `ok` is whatever comes of it once somebody is let in, `in`
/// the way to the sign-in page, and everything else a status.
const MATRIX: &str = "
                                       nobody other owner admin upload read admin reader
GET    /healthz                         ok     ok    ok    ok    ok     ok   ok    ok
HEAD   /healthz                         ok     ok    ok    ok    ok     ok   ok    ok
GET    /readyz                          ok     ok    ok    ok    ok     ok   ok    ok
HEAD   /readyz                          ok     ok    ok    ok    ok     ok   ok    ok
OPTIONS /files/                         ok     ok    ok    ok    ok     ok   ok    ok
OPTIONS /files                          ok     ok    ok    ok    ok     ok   ok    ok
OPTIONS /files/{key}                    ok     ok    ok    ok    ok     ok   ok    ok
POST   /files/                          401    ok    ok    ok    ok     403  403   403
POST   /files                           401    ok    ok    ok    ok     403  403   403
HEAD   /files/{key}                     ok     ok    ok    ok    ok     ok   ok    ok
GET    /files/{key}                     ok     ok    ok    ok    ok     ok   ok    ok
PATCH  /files/{key}                     ok     ok    ok    ok    ok     ok   ok    ok
DELETE /files/{key}                     ok     ok    ok    ok    ok     ok   ok    ok
POST   /uploads                         401    ok    ok    ok    ok     403  403   403
PUT    /uploads/{id}                    401    ok    ok    ok    ok     403  403   403
GET    /uploads/{id}                    in     404   ok    ok    403    ok   403   404
GET    /                                in     ok    ok    ok    403    ok   403   ok
GET    /api/v1/uploads                  401    ok    ok    ok    403    ok   403   ok
GET    /api/v1/uploads/{id}             401    404   ok    ok    403    ok   403   404
DELETE /api/v1/uploads/{id}             401    404   ok    ok    ok     403  403   403
GET    /api/v1/uploads/{id}/content     401    404   ok    ok    403    ok   403   404
HEAD   /api/v1/uploads/{id}/content     401    404   ok    ok    403    ok   403   404
GET    /api/v1/jobs                     401    ok    ok    ok    403    ok   403   ok
GET    /api/v1/jobs/{id}                401    404   ok    ok    403    ok   403   404
POST   /api/v1/jobs/{id}/cancellation   401    404   ok    ok    ok     403  403   403
POST   /api/v1/jobs/{id}/retry          401    404   ok    ok    ok     403  403   403
GET    /live                            401    ok    ok    ok    403    ok   403   ok
GET    /api/v1/asyncapi.json            ok     ok    ok    ok    ok     ok   ok    ok
GET    /api/v1/progress/{topic}         401    404   ok    ok    403    ok   403   404
GET    /api/v1/progress/{topic}/events  401    404   ok    ok    403    ok   403   404
GET    /account                         in     ok    ok    ok    403    403  403   403
POST   /account/password                in     ok    ok    ok    403    403  403   403
POST   /account/sessions/revocation     in     ok    ok    ok    403    403  403   403
POST   /account/sessions/{id}/revocation in    404   ok    404   403    403  403   403
POST   /account/tokens                  in     ok    ok    ok    403    403  403   403
POST   /account/tokens/{id}/revocation  in     404   ok    404   403    403  403   403
GET    /accounts                        in     403   403   ok    403    403  403   403
POST   /accounts                        in     403   403   ok    403    403  403   403
POST   /accounts/link                   in     403   403   ok    403    403  403   403
POST   /accounts/disabled               in     403   403   ok    403    403  403   403
POST   /accounts/enabled                in     403   403   ok    403    403  403   403
POST   /accounts/role                   in     403   403   ok    403    403  403   403
GET    /audit                           in     403   403   ok    403    403  403   403
GET    /api/v1/openapi.json             ok     ok    ok    ok    ok     ok   ok    ok
POST   /api/v1/session                  ok     ok    ok    ok    ok     ok   ok    ok
DELETE /api/v1/session                  ok     ok    ok    ok    ok     ok   ok    ok
GET    /sign-in                         ok     ok    ok    ok    ok     ok   ok    ok
POST   /sign-in                         ok     ok    ok    ok    ok     ok   ok    ok
POST   /sign-out                        ok     ok    ok    ok    ok     ok   ok    ok
GET    /assets/{fingerprint}/{name}     ok     ok    ok    ok    ok     ok   ok    ok
";

#[derive(Debug, Clone, Copy)]
enum Caller {
    Nobody,
    Person(&'static str),
    Token(&'static str, &'static str),
}

struct Walk {
    site: Site,
    owner: Who,
    client: Client,
    /// The token of each caller that has one, in the order of the columns.
    tokens: Vec<Option<String>>,
}

#[tokio::test]
async fn every_route_lets_in_whom_the_matrix_says_and_nobody_else() -> Result<()> {
    let walk = Walk::begin()?;
    let rows: Vec<Vec<&str>> = MATRIX.trim().lines().skip(1).map(columns).collect();

    let mut wrong = Vec::new();
    for row in &rows {
        let (route, expected) = (format!("{} {}", row[0], row[1]), &row[2..]);
        for (column, expected) in expected.iter().enumerate() {
            let found = walk.outcome(row[0], row[1], column).await?;
            if found != *expected {
                let caller = CALLERS[column];
                wrong.push(format!("{route} as {caller:?}: {found}, not {expected}"));
            }
        }
    }

    let listed = walk.site.slipway(&["routes"])?;
    let served: BTreeSet<_> = listed
        .lines()
        .map(|line| columns(line)[..2].to_vec())
        .collect();
    let in_matrix: BTreeSet<_> = rows.iter().map(|row| row[..2].to_vec()).collect();
    assert_eq!(
        served, in_matrix,
        "every route has a row, every row a route"
    );
    assert!(rows.iter().all(|row| row.len() == 2 + CALLERS.len()));
    assert_eq!(wrong, Vec::<String>::new());
    Ok(())
}

#[tokio::test]
async fn administrators_list_what_is_everybodys_and_members_may_not() -> Result<()> {
    let walk = Walk::begin()?;
    let job = walk.job().await?;
    for path in ["/api/v1/uploads?owner=all", "/api/v1/jobs?owner=all"] {
        let ask = async |column: usize| -> Result<Response> {
            let request = walk.client.get(format!("{}{path}", walk.site.url()));
            Ok(walk.shown(request, column)?.send().await?)
        };

        let seen = ask(3).await?.error_for_status()?.text().await?;
        assert!(seen.contains(&job), "{seen}");
        for column in [1, 2, 6, 7] {
            assert_eq!(
                ask(column).await?.status(),
                StatusCode::FORBIDDEN,
                "{column}"
            );
        }
    }
    Ok(())
}

fn columns(line: &str) -> Vec<&str> {
    line.split_whitespace().collect()
}

impl Walk {
    fn begin() -> Result<Self> {
        let site = Site::start()?;
        let owner = site.who("owner@example.com", "member")?;
        site.who("other@example.com", "member")?;
        site.who("admin@example.com", "administrator")?;
        let mut tokens = Vec::new();
        for caller in CALLERS {
            tokens.push(match caller {
                Caller::Token(email, scope) => Some(site.slipway(&[
                    "token",
                    "create",
                    "--account",
                    email,
                    "--scope",
                    scope,
                ])?),
                _ => None,
            });
        }
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .build()?;
        Ok(Self {
            site,
            owner,
            client,
            tokens,
        })
    }

    /// An upload of the owner's that is not whole.
    async fn upload(&self) -> Result<Tus> {
        Tus::create(&self.site.url(), &self.owner, 5, "").await
    }

    /// A job of the owner's.
    async fn job(&self) -> Result<String> {
        let url = format!("{}/uploads/small.txt", self.site.url());
        let sent = self
            .client
            .put(url)
            .bearer_auth(&self.owner.token)
            .body("small");
        let sent: serde_json::Value = sent.send().await?.json().await?;
        let id = sent["jobs"][0]["id"].as_str();
        Ok(id.context("no job")?.to_owned())
    }

    /// The request as somebody who shows what a caller has.
    fn shown(&self, request: RequestBuilder, column: usize) -> Result<RequestBuilder> {
        Ok(match (CALLERS[column], &self.tokens[column]) {
            (Caller::Person(email), _) => request
                .header(COOKIE, session(&self.site, email)?)
                .header("Sec-Fetch-Site", "same-origin"),
            (_, Some(token)) => request.bearer_auth(token),
            _ => request,
        })
    }

    async fn outcome(&self, method: &str, route: &str, column: usize) -> Result<&'static str> {
        let path = if route.starts_with("/api/v1/jobs/{id}") {
            route.replace("{id}", &self.job().await?)
        } else if route.starts_with("/account/sessions/{id}") {
            let session = session(&self.site, &self.owner.email)?;
            let token = session.replace("slipway=", "");
            route.replace("{id}", &sha256(token.as_bytes()))
        } else if route.starts_with("/account/tokens/{id}") {
            route.replace("{id}", &self.token()?)
        } else if route.contains("{id}") {
            route.replace("{id}", self.upload().await?.id())
        } else if route.contains("{topic}") {
            let topic = format!("upload:{}", self.upload().await?.id());
            route.replace("{topic}", &topic)
        } else {
            let upload = self.upload().await?;
            let key = upload.url.rsplit('/').next().unwrap_or_default();
            route.replace("{key}", key)
        };
        let path = match route {
            "/assets/{fingerprint}/{name}" => self.asset().await?,
            _ => path,
        };
        let url = format!("{}{path}", self.site.url());
        let request = self
            .client
            .request(Method::from_bytes(method.as_bytes())?, url);
        let request = self.shown(with_what_it_needs(request, method, route), column)?;
        outcome(&request.send().await?)
    }

    /// The id of a new token of the owner's.
    fn token(&self) -> Result<String> {
        let made = self.site.database().query(&format!(
            "INSERT INTO api_tokens (id, account_id, name, token_sha256, scopes, expires_at) \
             SELECT gen_random_uuid(), id, 'one', sha256(gen_random_uuid()::text::bytea), '{{read}}', \
                 now() + interval '1 day' \
             FROM accounts WHERE email = '{}' RETURNING id::text AS value",
            self.owner.email
        ))?;
        made.into_iter().next().context("no token was made")
    }

    async fn asset(&self) -> Result<String> {
        let page = self.client.get(format!("{}/sign-in", self.site.url()));
        let page = page.send().await?.text().await?;
        let script = page.split('"').find(|text| text.ends_with("/app.js"));
        Ok(script.context("no script")?.to_owned())
    }
}

/// The cookie of a session that began just now, behind the server's back: signing in
/// properly each time would take minutes.
fn session(site: &Site, email: &str) -> Result<String> {
    static SESSIONS: AtomicUsize = AtomicUsize::new(0);
    let token = format!("session-{}", SESSIONS.fetch_add(1, Ordering::Relaxed));
    site.database().execute(&format!(
        "INSERT INTO sessions (token_sha256, account_id, expires_at) \
         SELECT decode('{}', 'hex'), id, now() + interval '1 hour' FROM accounts WHERE email = '{email}'",
        sha256(token.as_bytes())
    ))?;
    Ok(format!("slipway={token}"))
}

/// Headers and bodies without which a request would be refused for another reason.
fn with_what_it_needs(request: RequestBuilder, method: &str, route: &str) -> RequestBuilder {
    let form = |request: RequestBuilder, body: &'static str| {
        request
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(body)
    };
    match (method, route) {
        ("PATCH", _) => request
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Offset", 0)
            .header(CONTENT_TYPE, CHUNK_TYPE)
            .body("bytes"),
        (_, route) if route.starts_with("/files") => request
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", 0),
        ("POST", "/uploads") => request
            .header(CONTENT_TYPE, "multipart/form-data; boundary=x")
            .body("--x\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\na\r\n--x--\r\n"),
        ("POST", "/api/v1/session") => request
            .header(CONTENT_TYPE, "application/json")
            .body(r#"{"email": "nobody@example.com", "password": "wrong horse"}"#),
        ("POST", "/sign-in") => form(
            request.header("Sec-Fetch-Site", "same-origin"), "email=nobody%40example.com&password=wrong"),
        (_, "/live") => request
            .header("Connection", "Upgrade")
            .header("Upgrade", "websocket")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header("Sec-WebSocket-Protocol", "slipway.progress.v1"),
        ("PUT", _) => request.body("small"),
        ("POST", "/account/password") => form(request, "current=&password=correct+horse"),
        ("POST", "/account/tokens") => form(request, "name=one&days=1&read=on"),
        ("POST", "/accounts") => form(request, "email=one%40example.com&role=member"),
        ("POST", route) if route.starts_with("/accounts/") => {
            form(request, "email=nobody%40example.com&role=member")
        }
        _ => request,
    }
}

fn outcome(response: &Response) -> Result<&'static str> {
    let header = |name: &str| response.headers().get(name).map(|value| value.to_str());
    Ok(match response.status() {
        // A wrong password is 401 too, but asks for no other proof.
        StatusCode::UNAUTHORIZED if header("www-authenticate").is_some() => "401",
        StatusCode::FORBIDDEN => "403",
        StatusCode::NOT_FOUND => "404",
        StatusCode::SEE_OTHER => {
            let to = header("location").context("no Location")??;
            if to.starts_with("/sign-in?next=") {
                "in"
            } else {
                "ok"
            }
        }
        status if status.is_server_error() => "5xx",
        _ => "ok",
    })
}
