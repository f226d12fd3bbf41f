//! People: how they come in and are kept out, what they see of their own account, and
//! what administrators do and read.

use anyhow::{Context, Result};
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::{Client, Response, StatusCode, redirect};
use slipway_tests::Site;

use crate::access::cookie;

/// A browser at the site: forms go out as pages of ours send them.
struct Browser<'a> {
    site: &'a Site,
    client: Client,
    cookie: String,
}

impl<'a> Browser<'a> {
    fn new(site: &'a Site, cookie: &str) -> Result<Self> {
        let client = Client::builder().redirect(redirect::Policy::none());
        Ok(Self {
            site,
            client: client.user_agent("Firefox/140.0 (Linux)").build()?,
            cookie: cookie.to_owned(),
        })
    }

    async fn get(&self, path: &str) -> Result<Response> {
        let request = self.client.get(format!("{}{path}", self.site.url()));
        Ok(request.header(COOKIE, &self.cookie).send().await?)
    }

    async fn post(&self, path: &str, form: &str) -> Result<Response> {
        let request = self
            .client
            .post(format!("{}{path}", self.site.url()))
            .header(COOKIE, &self.cookie)
            .header("Sec-Fetch-Site", "same-origin")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(form.to_owned());
        Ok(request.send().await?)
    }
}

fn cookie_of(answer: &Response) -> Result<String> {
    let set = answer.headers().get(SET_COOKIE).context("no cookie")?;
    let pair = set.to_str()?.split(';').next().unwrap_or_default();
    Ok(pair.to_owned())
}

/// What stands between quotes and contains `mark`.
fn quoted(page: &str, mark: &str) -> Result<String> {
    let found = page.split('"').find(|text| text.contains(mark));
    Ok(found
        .with_context(|| format!("no {mark} in {page}"))?
        .to_owned())
}

fn trail(site: &Site) -> Result<String> {
    let rows = site.database().query(
        "SELECT concat_ws('|', kind, actor, subject, detail) AS value FROM security_events ORDER BY id",
    )?;
    Ok(rows.join("\n"))
}

#[tokio::test]
async fn an_invitation_leads_to_a_password_and_the_password_signs_in() -> Result<()> {
    let site = Site::start()?;
    site.who("admin@example.com", "administrator")?;
    let admin = Browser::new(&site, &cookie(&site, "admin@example.com").await?)?;

    let invited = admin.post("/accounts", "email=New%40Example.com&role=member");
    let page = invited.await?.error_for_status()?.text().await?;
    let link = quoted(&page, "/sign-in?link=")?;
    let token = link.rsplit('=').next().unwrap_or_default().to_owned();
    assert!(link.starts_with(&site.url()), "{link}");
    let again = admin.get("/accounts").await?.text().await?;
    assert!(!again.contains(&token), "it is shown once");

    let newcomer = Browser::new(&site, "")?;
    let form = newcomer
        .get(&format!("/sign-in?link={token}"))
        .await?
        .text()
        .await?;
    assert!(form.contains("Choose a password for <strong>new@example.com"));
    let short = format!("link={token}&password=short");
    let short = newcomer.post("/sign-in", &short).await?;
    assert_eq!(short.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(short.text().await?.contains("Choose a password for"));
    let without = newcomer.post("/sign-in", &format!("link={token}")).await?;
    assert_eq!(without.status(), StatusCode::UNPROCESSABLE_ENTITY);

    let chosen = format!("link={token}&password=correct+horse");
    let signed_in = newcomer.post("/sign-in", &chosen).await?;
    assert_eq!(signed_in.status(), StatusCode::SEE_OTHER);
    let twice = newcomer.post("/sign-in", &chosen).await?;
    assert_eq!(twice.status(), StatusCode::UNAUTHORIZED);
    let by_password = newcomer.post("/sign-in", "email=new%40example.com&password=correct+horse");
    assert_eq!(by_password.await?.status(), StatusCode::SEE_OTHER);
    Ok(())
}

#[tokio::test]
async fn a_password_that_is_set_anew_ends_whatever_signed_in_before() -> Result<()> {
    let site = Site::start()?;
    site.who("dev@example.com", "member")?;
    let old = cookie(&site, "dev@example.com").await?;
    let other_link = site.slipway(&["account", "link", "dev@example.com"])?;
    let link = site.slipway(&["account", "link", "dev@example.com", "--password"])?;
    let token = |link: &str| link.rsplit('=').next().unwrap_or_default().to_owned();

    let browser = Browser::new(&site, "")?;
    let chosen = format!("link={}&password=correct+horse", token(&link));
    let chosen = browser.post("/sign-in", &chosen).await?;

    assert_eq!(chosen.status(), StatusCode::SEE_OTHER);
    let before = Browser::new(&site, &old)?.get("/").await?;
    assert_eq!(before.status(), StatusCode::SEE_OTHER);
    let left = format!("link={}", token(&other_link));
    let left = browser.post("/sign-in", &left).await?;
    assert_eq!(left.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn guesses_at_a_password_are_halted_for_that_address_and_told() -> Result<()> {
    let site = Site::start()?;
    let add = |email: &str| {
        let arguments = ["account", "add", email, "--password-stdin"];
        site.slipway_with_input(&arguments, "correct horse")
    };
    add("dev@example.com")?;
    add("other@example.com")?;
    let browser = Browser::new(&site, "")?;
    let guess = async |email: &str, password: &str| {
        let form = format!("email={}&password={password}", email.replace('@', "%40"));
        browser.post("/sign-in", &form).await
    };

    for _ in 0..10 {
        let wrong = guess("dev@example.com", "wrong+horse").await?;
        assert_eq!(wrong.status(), StatusCode::UNAUTHORIZED);
    }

    let right = guess("dev@example.com", "correct+horse").await?;
    assert_eq!(right.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(right.text().await?.contains("Too many attempts"));
    let other = guess("other@example.com", "correct+horse").await?;
    assert_eq!(other.status(), StatusCode::SEE_OTHER);
    let trail = trail(&site)?;
    assert_eq!(trail.matches("sign-in failed|dev@example.com").count(), 10);
    assert_eq!(trail.matches("sign-in halted|dev@example.com").count(), 1);
    site.database()
        .execute("UPDATE sign_in_attempts SET ends_at = now()")?;
    let later = guess("dev@example.com", "correct+horse").await?;
    assert_eq!(later.status(), StatusCode::SEE_OTHER);
    Ok(())
}

#[tokio::test]
async fn a_session_that_somebody_planted_is_never_the_one_signed_in() -> Result<()> {
    let site = Site::start()?;
    site.who("victim@example.com", "member")?;
    site.who("thief@example.com", "member")?;
    let planted = cookie(&site, "thief@example.com").await?;

    for before in ["slipway=chosen-by-somebody-else", planted.as_str()] {
        let link = site.slipway(&["account", "link", "victim@example.com"])?;
        let link = link.rsplit('=').next().unwrap_or_default().to_owned();
        let browser = Browser::new(&site, before)?;
        let signed_in = browser.post("/sign-in", &format!("link={link}")).await?;

        assert_ne!(cookie_of(&signed_in)?, before);
        assert_eq!(browser.get("/").await?.status(), StatusCode::SEE_OTHER);
    }
    Ok(())
}

#[tokio::test]
async fn a_session_is_listed_and_ends_where_its_owner_says() -> Result<()> {
    let site = Site::start()?;
    site.who("dev@example.com", "member")?;
    site.who("other@example.com", "member")?;
    let here = Browser::new(&site, &cookie(&site, "dev@example.com").await?)?;
    let there = Browser::new(&site, &cookie(&site, "dev@example.com").await?)?;
    let third = Browser::new(&site, &cookie(&site, "dev@example.com").await?)?;
    let other = Browser::new(&site, &cookie(&site, "other@example.com").await?)?;
    let page = here.get("/account").await?.text().await?;
    assert_eq!(page.matches("this browser").count(), 1);

    let one = page
        .split('"')
        .find(|text| text.starts_with("/account/sessions/") && text.len() > 60)
        .context("no session to end")?;
    assert_eq!(
        other.post(one, "").await?.status(),
        StatusCode::NOT_FOUND,
        "another's"
    );
    assert_eq!(here.post(one, "").await?.status(), StatusCode::SEE_OTHER);
    let mut left = 0;
    for browser in [&there, &third] {
        left += usize::from(browser.get("/account").await?.status().is_success());
    }
    assert_eq!(left, 1);

    here.post("/account/sessions/revocation", "").await?;
    assert_eq!(third.get("/account").await?.status(), StatusCode::SEE_OTHER);
    assert_eq!(there.get("/account").await?.status(), StatusCode::SEE_OTHER);
    assert_eq!(here.get("/account").await?.status(), StatusCode::OK);
    here.post("/sign-out", "").await?;
    let replayed = here.get("/account").await?;
    assert_eq!(
        replayed.status(),
        StatusCode::SEE_OTHER,
        "after signing out"
    );
    Ok(())
}

#[tokio::test]
async fn a_token_is_made_on_the_page_shown_once_and_taken_back() -> Result<()> {
    let site = Site::start()?;
    site.who("dev@example.com", "member")?;
    let browser = Browser::new(&site, &cookie(&site, "dev@example.com").await?)?;
    let list = async |token: &str| -> Result<StatusCode> {
        let request = Client::new().get(format!("{}/api/v1/uploads", site.url()));
        Ok(request.bearer_auth(token).send().await?.status())
    };

    let page = browser.post("/account/tokens", "name=nightly+%3Cb%3E&days=30&read=on");
    let page = page.await?.error_for_status()?.text().await?;
    let token = quoted(&page, "slw_")?;
    assert_eq!(list(&token).await?, StatusCode::OK);
    let again = browser.get("/account").await?.text().await?;
    assert!(!again.contains(&token) && !again.contains("<b>"), "{again}");
    for (form, status) in [
        ("name=&days=30&read=on", StatusCode::UNPROCESSABLE_ENTITY),
        ("name=x&days=30", StatusCode::UNPROCESSABLE_ENTITY),
        ("name=x&days=367&read=on", StatusCode::UNPROCESSABLE_ENTITY),
        ("name=x&days=0&read=on", StatusCode::UNPROCESSABLE_ENTITY),
        ("name=x&days=30&admin=on", StatusCode::FORBIDDEN),
    ] {
        let refused = browser.post("/account/tokens", form).await?;
        assert_eq!(refused.status(), status, "{form}");
    }

    let paths = again
        .split('"')
        .filter(|text| text.starts_with("/account/tokens/"));
    // The newest comes first.
    let path = paths.into_iter().next().context("no token to revoke")?;
    let revoked = browser.post(path, "").await?;
    assert_eq!(revoked.status(), StatusCode::SEE_OTHER);
    assert_eq!(list(&token).await?, StatusCode::UNAUTHORIZED);
    Ok(())
}

#[tokio::test]
async fn administrators_disable_promote_and_read_what_happened() -> Result<()> {
    let site = Site::start()?;
    site.who("admin@example.com", "administrator")?;
    let member = site.who("member@example.com", "member")?;
    let admin = Browser::new(&site, &cookie(&site, "admin@example.com").await?)?;
    let theirs = Browser::new(&site, &cookie(&site, &member.email).await?)?;
    let them = "email=member%40example.com";

    let alone = admin.post("/accounts/disabled", "email=admin%40example.com");
    let alone = alone.await?;
    assert_eq!(alone.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(alone.text().await?.contains("is the only administrator"));
    admin
        .post("/accounts/role", &format!("{them}&role=administrator"))
        .await?;
    assert_eq!(theirs.get("/audit").await?.status(), StatusCode::OK);
    admin
        .post("/accounts/role", &format!("{them}&role=member"))
        .await?;
    assert_eq!(theirs.get("/audit").await?.status(), StatusCode::FORBIDDEN);
    admin.post("/accounts/disabled", them).await?;
    assert_eq!(theirs.get("/").await?.status(), StatusCode::SEE_OTHER);
    admin.post("/accounts/enabled", them).await?;
    cookie(&site, &member.email).await?;

    let page = admin.get("/audit").await?.text().await?;
    for told in [
        "role changed",
        "account disabled",
        "account enabled",
        "link made",
        "token made",
        "signed in",
        "the command line",
    ] {
        assert!(page.contains(told), "{told} in {page}");
    }
    assert!(!page.contains(&member.token));
    Ok(())
}

#[tokio::test]
async fn a_removal_is_in_the_trail_with_who_and_what() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let by_token = slipway_tests::Tus::create(&site.url(), &who, 5, "").await?;
    let by_key = slipway_tests::Tus::create(&site.url(), &who, 5, "").await?;

    let url = format!("{}/api/v1/uploads/{}", site.url(), by_token.id());
    let removed = Client::new().delete(url).bearer_auth(&who.token).send();
    assert_eq!(removed.await?.status(), StatusCode::NO_CONTENT);
    by_key.request(reqwest::Method::DELETE).send().await?;

    let trail = trail(&site)?;
    let one = format!("upload removed|a token of {}|{}", who.email, by_token.id());
    let other = format!("upload removed|a holder of its key|{}", by_key.id());
    assert!(trail.contains(&one) && trail.contains(&other), "{trail}");
    Ok(())
}

#[tokio::test]
async fn a_rotated_secret_signs_nobody_out_and_stops_no_upload() -> Result<()> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let cookie = cookie(&site, &who.email).await?;
    let upload = slipway_tests::Tus::create(&site.url(), &who, 10, "").await?;
    assert_eq!(sent(&upload, 0, "first").await?, StatusCode::NO_CONTENT);

    site.kill()?;
    site.set("SESSION_SECRET", "a3bf4f1b2b0b822cd15d6c15b0f00a08");
    site.set("SESSION_SECRET_PREVIOUS", slipway_tests::SESSION_SECRET);
    site.run()?;
    let page = Browser::new(&site, &cookie)?.get("/account").await?;
    assert_eq!(page.status(), StatusCode::OK, "nobody is signed out");
    assert_eq!(sent(&upload, 5, "later").await?, StatusCode::NO_CONTENT);
    let newer = slipway_tests::Tus::create(&site.url(), &who, 5, "").await?;

    site.kill()?;
    site.set(
        "SESSION_SECRET_PREVIOUS",
        "0fe3ad6e8b61c1c2f4fe2d3d4c5b6a79",
    );
    site.run()?;
    assert_eq!(sent(&upload, 10, "").await?, StatusCode::NOT_FOUND);
    assert_eq!(sent(&newer, 0, "newer").await?, StatusCode::NO_CONTENT);
    let page = Browser::new(&site, &cookie)?.get("/account").await?;
    assert_eq!(page.status(), StatusCode::OK, "nor when it is forgotten");
    Ok(())
}

async fn sent(
    upload: &slipway_tests::Tus,
    offset: usize,
    bytes: &'static str,
) -> Result<StatusCode> {
    let request = upload
        .request(reqwest::Method::PATCH)
        .header("Upload-Offset", offset)
        .header(CONTENT_TYPE, slipway_tests::CHUNK_TYPE)
        .body(bytes);
    Ok(request.send().await?.status())
}

#[tokio::test]
async fn what_waits_in_one_tab_is_not_sent_as_whoever_signed_in_in_another() -> Result<()> {
    let site = Site::start()?;
    site.who("first@example.com", "member")?;
    site.who("second@example.com", "member")?;
    let first = cookie(&site, "first@example.com").await?;
    let second = cookie(&site, "second@example.com").await?;
    let page = Browser::new(&site, &first)?.get("/").await?.text().await?;
    let viewer = page.split("data-viewer=\"").nth(1).context("no viewer")?;
    let viewer = viewer.split('"').next().unwrap_or_default();
    let announce = async |cookie: &str| -> Result<StatusCode> {
        let request = Client::new()
            .post(format!("{}/files/", site.url()))
            .header(COOKIE, cookie)
            .header("Sec-Fetch-Site", "same-origin")
            .header("Slipway-Viewer", viewer)
            .header("Tus-Resumable", "1.0.0")
            .header("Upload-Length", 5);
        Ok(request.send().await?.status())
    };

    assert_eq!(announce(&first).await?, StatusCode::CREATED);
    assert_eq!(announce(&second).await?, StatusCode::UNAUTHORIZED);
    assert_eq!(announce(&first).await?, StatusCode::CREATED, "and is back");
    Ok(())
}
