//! Coming in, staying in, and what belongs to others.

use anyhow::{Context, Result};
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, redirect};
use serde_json::json;
use slipway_tests::{Site, Tus};

fn browser() -> Result<Client> {
    Ok(Client::builder()
        .redirect(redirect::Policy::none())
        .build()?)
}

/// The cookie of somebody who signed in by a one-time link.
pub(crate) async fn cookie(site: &Site, email: &str) -> Result<String> {
    let response = by_link(site, &site.sign_in_url(email)?).await?;
    let cookie = response
        .headers()
        .get("set-cookie")
        .context("no cookie")?
        .to_str()?;
    Ok(cookie.split(';').next().unwrap_or_default().to_owned())
}

async fn by_link(site: &Site, link: &str) -> Result<Response> {
    let token = link.rsplit('=').next().unwrap_or_default();
    let form = browser()?
        .post(format!("{}/sign-in", site.url()))
        .header("Origin", site.url())
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("link={token}"));
    Ok(form.send().await?)
}

#[tokio::test]
async fn a_link_signs_in_once_and_looking_at_it_does_not_use_it_up() -> Result<()> {
    let site = Site::start()?;
    site.who("dev@example.com", "member")?;
    let link = site.sign_in_url("dev@example.com")?;
    for _ in 0..2 {
        let page = browser()?.get(&link).send().await?;
        assert_eq!(
            (page.status(), page.headers().get("set-cookie")),
            (StatusCode::OK, None)
        );
    }

    let first = by_link(&site, &link).await?;
    let second = by_link(&site, &link).await?;

    assert_eq!(
        (first.status(), &first.headers()["location"]),
        (StatusCode::SEE_OTHER, &"/".parse()?)
    );
    let cookie = first.headers()["set-cookie"].to_str()?;
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    assert_eq!(second.status(), StatusCode::UNAUTHORIZED);
    assert!(second.text().await?.contains("This link was used before"));
    Ok(())
}

#[tokio::test]
async fn a_password_signs_in_and_a_wrong_one_says_no_more_than_that() -> Result<()> {
    let site = Site::start()?;
    site.slipway_with_input(
        &["account", "add", "Dev@Example.com", "--password-stdin"],
        "correct horse",
    )?;
    let sign_in = async |email: &str, password: &str| {
        let url = format!("{}/api/v1/session", site.url());
        browser()?
            .post(url)
            .json(&json!({"email": email, "password": password}))
            .send()
            .await
            .context("no answer")
    };

    assert_eq!(
        sign_in("dev@example.com", "correct horse").await?.status(),
        StatusCode::NO_CONTENT
    );
    let wrong = sign_in("dev@example.com", "wrong horse")
        .await?
        .text()
        .await?;
    let unknown = sign_in("nobody@example.com", "wrong horse")
        .await?
        .text()
        .await?;
    let without_id = |text: &str| text.split("request_id").next().map(ToOwned::to_owned);
    assert!(wrong.contains("wrong_password"), "{wrong}");
    assert_eq!(without_id(&wrong), without_id(&unknown));
    Ok(())
}

#[tokio::test]
async fn signing_out_ends_the_session_on_the_server_too() -> Result<()> {
    let site = Site::start()?;
    site.who("dev@example.com", "member")?;
    let cookie = cookie(&site, "dev@example.com").await?;
    let list = || site_get(&site, "/api/v1/uploads").header("Cookie", &cookie);
    assert_eq!(list().send().await?.status(), StatusCode::OK);

    let out = browser()?
        .post(format!("{}/sign-out", site.url()))
        .header("Cookie", &cookie)
        .header("Sec-Fetch-Site", "same-origin")
        .send()
        .await?;

    assert_eq!(out.status(), StatusCode::SEE_OTHER);
    assert_eq!(list().send().await?.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

fn site_get(site: &Site, path: &str) -> RequestBuilder {
    Client::new().get(format!("{}{path}", site.url()))
}

#[tokio::test]
async fn a_cookie_changes_nothing_unless_our_own_page_sent_it() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let upload = Tus::create(&site.url(), &who, 5, "").await?;
    let cookie = cookie(&site, &who.email).await?;
    let delete = || {
        let url = format!("{}/api/v1/uploads/{}", site.url(), upload.id());
        Client::new().delete(url).header("Cookie", &cookie)
    };

    for foreign in [
        delete(),
        delete().header("Sec-Fetch-Site", "cross-site"),
        delete().header("Sec-Fetch-Site", "same-site"),
        delete().header("Origin", "https://evil.example.com"),
    ] {
        assert_eq!(foreign.send().await?.status(), StatusCode::FORBIDDEN);
    }
    let own = delete()
        .header("Sec-Fetch-Site", "same-origin")
        .send()
        .await?;
    assert_eq!(own.status(), StatusCode::NO_CONTENT);
    Ok(())
}

#[tokio::test]
async fn what_belongs_to_others_does_not_exist() -> Result<()> {
    let site = Site::start()?;
    let (owner, other) = (
        site.who("a@example.com", "member")?,
        site.who("b@example.com", "member")?,
    );
    let admin = site.who("c@example.com", "administrator")?;
    let upload = Tus::create(&site.url(), &owner, 0, "").await?;
    let job = crate::settled(&site, &owner, upload.id()).await?["jobs"][0]["id"].clone();
    let job = job.as_str().context("no job")?;
    let upload = format!("/api/v1/uploads/{}", upload.id());
    let job = format!("/api/v1/jobs/{job}");
    let content = format!("{upload}/content");
    let (cancellation, retry) = (format!("{job}/cancellation"), format!("{job}/retry"));
    for (method, path, allowed) in [
        (Method::GET, &upload, StatusCode::OK),
        (Method::GET, &content, StatusCode::OK),
        (Method::GET, &job, StatusCode::OK),
        (Method::POST, &cancellation, StatusCode::CONFLICT),
        (Method::POST, &retry, StatusCode::CONFLICT),
        (Method::DELETE, &upload, StatusCode::NO_CONTENT),
    ] {
        let ask = async |token: Option<&str>| -> Result<StatusCode> {
            let request = Client::new().request(method.clone(), format!("{}{path}", site.url()));
            let request = match token {
                Some(token) => request.bearer_auth(token),
                None => request,
            };
            Ok(request.send().await?.status())
        };
        assert_eq!(
            ask(None).await?,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        assert_eq!(
            ask(Some("slw_guess")).await?,
            StatusCode::UNAUTHORIZED,
            "{method} {path}"
        );
        assert_eq!(
            ask(Some(&other.token)).await?,
            StatusCode::NOT_FOUND,
            "{method} {path}"
        );
        assert_eq!(ask(Some(&admin.token)).await?, allowed, "{method} {path}");
    }
    let listed = site_get(&site, "/api/v1/uploads")
        .bearer_auth(&other.token)
        .send()
        .await?;
    assert!(listed.text().await?.starts_with(r#"{"uploads":[]"#));
    Ok(())
}

#[tokio::test]
async fn a_token_reaches_as_far_as_its_scopes_and_no_longer_than_it_lives() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "administrator")?;
    let token = |scope: &str| {
        site.slipway(&[
            "token",
            "create",
            "--account",
            &who.email,
            "--scope",
            scope,
            "--expires",
            "1h",
        ])
    };
    let reader = token("read")?;
    let sender = token("upload")?;
    let create = async |token: &str| -> Result<StatusCode> {
        let request = Client::new()
            .post(format!("{}/files/", site.url()))
            .bearer_auth(token);
        let request = request
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", 0);
        Ok(request.send().await?.status())
    };
    let list = async |token: &str| -> Result<StatusCode> {
        Ok(site_get(&site, "/api/v1/uploads")
            .bearer_auth(token)
            .send()
            .await?
            .status())
    };

    assert_eq!(
        (create(&reader).await?, list(&reader).await?),
        (StatusCode::FORBIDDEN, StatusCode::OK)
    );
    assert_eq!(
        (create(&sender).await?, list(&sender).await?),
        (StatusCode::CREATED, StatusCode::FORBIDDEN)
    );

    let listed = site.slipway(&["token", "list"])?;
    let revoked = listed
        .lines()
        .find(|line| line.contains("\tread\t"))
        .context("not listed")?;
    site.slipway(&[
        "token",
        "revoke",
        revoked.split('\t').next().unwrap_or_default(),
    ])?;
    assert_eq!(list(&reader).await?, StatusCode::UNAUTHORIZED);

    site.database()
        .execute("UPDATE api_tokens SET expires_at = now()")?;
    assert_eq!(list(&who.token).await?, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn a_disabled_account_is_out_at_once() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let cookie = cookie(&site, &who.email).await?;

    site.slipway(&["account", "disable", &who.email])?;

    let by_cookie = site_get(&site, "/api/v1/uploads")
        .header("Cookie", cookie)
        .send()
        .await?;
    let by_token = site_get(&site, "/api/v1/uploads")
        .bearer_auth(&who.token)
        .send()
        .await?;
    assert_eq!(
        (by_cookie.status(), by_token.status()),
        (StatusCode::UNAUTHORIZED, StatusCode::UNAUTHORIZED)
    );
    assert!(site.slipway(&["account", "list"])?.contains("\tdisabled\t"));
    Ok(())
}
