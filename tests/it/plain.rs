//! Plain ways in: one `PUT`, and a form, with and without a script.

use std::process::Command;

use anyhow::{Context, Result, ensure};
use reqwest::{Body, Client, StatusCode, redirect};
use serde_json::Value;
use slipway_tests::{Site, Who, pieces, random_bytes, sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::{eventually, settled};

fn start(settings: &[(&str, &str)]) -> Result<(Site, Who)> {
    let site = Site::start_with(settings)?;
    let who = site.who("dev@example.com", "member")?;
    Ok((site, who))
}

async fn list(site: &Site, who: &Who) -> Result<Vec<Value>> {
    let answer = Client::new()
        .get(format!("{}/api/v1/uploads", site.url()))
        .bearer_auth(&who.token)
        .send()
        .await?;
    let json: Value = answer.error_for_status()?.json().await?;
    Ok(json["uploads"].as_array().context("no list")?.clone())
}

/// A form with these parts; `None` for a field that is no file.
fn form(parts: &[(Option<&str>, &[u8])]) -> (String, Vec<u8>) {
    let boundary = "----a-boundary";
    let mut body = Vec::new();
    for (name, bytes) in parts {
        let name = name.map_or_else(
            || "name=\"note\"".to_owned(),
            |name| format!("name=\"files\"; filename=\"{name}\""),
        );
        let head = format!("--{boundary}\r\nContent-Disposition: form-data; {name}\r\n\r\n");
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(bytes);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

#[tokio::test]
async fn a_file_is_put_by_one_request_and_the_answer_says_all_of_it() -> Result<()> {
    let (site, who) = start(&[])?;
    let file = random_bytes(3_500_000, 1);
    for body in [
        Body::from(file.clone()),
        // Without a Content-Length.
        Body::wrap_stream(pieces(file.clone(), 100_000, |_| {})),
    ] {
        let answer = Client::new()
            .put(format!(
                "{}/uploads/n%C3%A4ive%20%22x%22%2F..csv",
                site.url()
            ))
            .bearer_auth(&who.token)
            .header("Content-Type", "text/csv")
            .body(body)
            .send()
            .await?;

        assert_eq!(answer.status(), StatusCode::CREATED);
        let place = answer.headers()["location"].to_str()?.to_owned();
        let json: Value = answer.json().await?;
        assert_eq!(json["sha256"], sha256(&file).as_str());
        assert_eq!(json["state"], "stored");
        assert_eq!(json["name"], "..csv", "a name is no path");
        let id = json["id"].as_str().context("no id")?;
        assert_eq!(json["links"]["self"], place.as_str());
        let content = format!(
            "{}{}",
            site.url(),
            json["links"]["content"].as_str().unwrap_or("")
        );
        let content = Client::new().get(content).bearer_auth(&who.token).send();
        assert_eq!(content.await?.bytes().await?, file);
        settled(&site, &who, id).await?;
    }
    Ok(())
}

#[tokio::test]
async fn curl_puts_a_file_and_an_empty_one() -> Result<()> {
    let (site, who) = start(&[])?;
    if Command::new("curl").arg("--version").output().is_err() {
        return Ok(());
    }
    let folder = std::env::temp_dir().join(format!("slipway-curl-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    for (name, file) in [
        ("a b.bin", random_bytes(2_000_000, 2)),
        ("empty", random_bytes(0, 1)),
    ] {
        let path = folder.join(name);
        std::fs::write(&path, &file)?;
        // With a slash at the end, curl adds the name of the file itself.
        let output = Command::new("curl")
            .args(["-sS", "-T"])
            .arg(&path)
            .args(["-H", &format!("Authorization: Bearer {}", who.token)])
            .arg(format!("{}/uploads/", site.url()))
            .output()?;
        let json: Value = serde_json::from_slice(&output.stdout)?;
        assert_eq!(
            (&json["name"], &json["state"]),
            (&name.into(), &"stored".into())
        );
        assert_eq!(json["sha256"], sha256(&file).as_str());
    }
    std::fs::remove_dir_all(&folder)?;
    Ok(())
}

#[tokio::test]
async fn a_form_brings_several_files_and_a_script_gets_json() -> Result<()> {
    let (site, who) = start(&[])?;
    let (one, two) = (random_bytes(1_500_000, 3), random_bytes(10, 4));
    let (kind, body) = form(&[
        (None, b"a remark"),
        (Some("one.bin"), &one),
        // What a browser sends where nothing was picked.
        (Some(""), b""),
        (Some("say %22two%22.bin"), &two),
        (Some("empty.bin"), b""),
    ]);

    let answer = Client::new()
        .post(format!("{}/uploads", site.url()))
        .bearer_auth(&who.token)
        .header("Content-Type", kind)
        .body(body)
        .send()
        .await?;

    assert_eq!(answer.status(), StatusCode::CREATED);
    let json: Value = answer.json().await?;
    let uploads = json["uploads"].as_array().context("no uploads")?;
    let told: Vec<_> = uploads
        .iter()
        .map(|it| (&it["name"], &it["sha256"]))
        .collect();
    assert_eq!(
        told,
        [
            (&"one.bin".into(), &sha256(&one).into()),
            (&"say \"two\".bin".into(), &sha256(&two).into()),
            (&"empty.bin".into(), &sha256(b"").into()),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn a_page_without_script_sends_files_and_comes_back_to_the_list() -> Result<()> {
    let (site, _) = start(&[])?;
    let browser = Client::builder()
        .cookie_store(true)
        .redirect(redirect::Policy::none())
        .build()?;
    let send = |origin: &'static str| {
        let (kind, body) = form(&[(Some("a.csv"), b"a,b\n1,2\n")]);
        let request = browser.post(format!("{}/uploads", site.url()));
        let request = request
            .header("Content-Type", kind)
            .header("Accept", "text/html,application/xhtml+xml")
            .header("Sec-Fetch-Site", origin)
            .body(body);
        async move { anyhow::Ok(request.send().await?) }
    };
    let anonymous = send("same-origin").await?;
    assert_eq!(anonymous.status(), StatusCode::SEE_OTHER);
    assert!(
        anonymous.headers()["location"]
            .to_str()?
            .starts_with("/sign-in")
    );
    let link = site.sign_in_url("dev@example.com")?;
    let token = link.split("link=").nth(1).context("no link")?.to_owned();
    browser
        .post(format!("{}/sign-in", site.url()))
        .header("Sec-Fetch-Site", "same-origin")
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(format!("link={token}"))
        .send()
        .await?;

    let page = browser.get(site.url()).header("Accept", "text/html").send();
    let page = page.await?.text().await?;
    let sent = send("same-origin").await?;
    let foreign = send("cross-site").await?;

    ensure!(
        page.contains("action=\"/uploads\"") && page.contains("multipart/form-data"),
        "the page has no form"
    );
    assert_eq!(sent.status(), StatusCode::SEE_OTHER);
    assert_eq!(sent.headers()["location"], "/");
    assert_eq!(foreign.status(), StatusCode::FORBIDDEN);
    let page = browser.get(site.url()).header("Accept", "text/html").send();
    assert!(page.await?.text().await?.contains("a.csv"));
    Ok(())
}

/// A connection on which a form of this kind and size is announced, and nothing sent.
async fn announced(site: &Site, who: &Who, kind: &str, bytes: usize) -> Result<TcpStream> {
    let head = format!(
        "POST /uploads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Type: {kind}\r\nContent-Length: {bytes}\r\n\r\n",
        who.token
    );
    let mut socket = TcpStream::connect(site.url().trim_start_matches("http://")).await?;
    socket.write_all(head.as_bytes()).await?;
    Ok(socket)
}

#[tokio::test]
async fn of_a_form_that_is_cut_only_whole_files_are_kept() -> Result<()> {
    let (site, who) = start(&[])?;
    let (whole, cut) = (random_bytes(1_200_000, 5), random_bytes(2_600_000, 6));
    let (kind, body) = form(&[(Some("whole.bin"), &whole), (Some("cut.bin"), &cut)]);
    let mut socket = announced(&site, &who, &kind, body.len()).await?;
    socket.write_all(&body[..body.len() - 100_000]).await?;
    let rows = |wanted: &str| {
        let sql = format!("SELECT name AS value FROM uploads WHERE {wanted} ORDER BY name");
        site.database().query(&sql)
    };
    eventually("the second file is on its way", || {
        Ok(rows("stored_bytes > 0")?.len() == 2)
    })
    .await?;

    drop(socket);

    eventually("the cut file is removed", || {
        Ok(rows("removed_at IS NOT NULL")? == ["cut.bin"])
    })
    .await?;
    let uploads = list(&site, &who).await?;
    assert_eq!(uploads.len(), 1);
    assert_eq!(
        (&uploads[0]["name"], &uploads[0]["state"]),
        (&"whole.bin".into(), &"stored".into())
    );
    Ok(())
}

#[tokio::test]
async fn a_form_is_seen_while_it_arrives() -> Result<()> {
    let (site, who) = start(&[])?;
    let (kind, body) = form(&[(Some("slow.bin"), &random_bytes(1_500_000, 7))]);
    let mut socket = announced(&site, &who, &kind, body.len()).await?;
    socket.write_all(&body[..1_200_000]).await?;

    let stored = "SELECT stored_bytes::text AS value FROM uploads WHERE stored_bytes > 1000000";
    eventually("what has arrived is stored and told", || {
        Ok(!site.database().query(stored)?.is_empty())
    })
    .await?;
    let uploads = list(&site, &who).await?;
    assert_eq!(uploads[0]["state"], "receiving");
    assert_eq!(uploads[0]["total_bytes"], Value::Null);
    Ok(())
}

#[tokio::test]
async fn what_is_no_form_with_files_is_refused_with_its_reason() -> Result<()> {
    let (site, who) = start(&[])?;
    let (kind, empty) = form(&[(None, b"a remark")]);
    let long = form(&[(None, &[b'x'; 70_000])]).1;
    for (kind, body, status, code) in [
        (kind.as_str(), empty, 400, "form"),
        (kind.as_str(), long, 400, "form"),
        (kind.as_str(), b"no boundary in it".to_vec(), 400, "cut"),
        ("text/plain", b"a".to_vec(), 415, "content_type"),
        ("multipart/form-data", b"a".to_vec(), 415, "content_type"),
    ] {
        let answer = Client::new()
            .post(format!("{}/uploads", site.url()))
            .bearer_auth(&who.token)
            .header("Content-Type", kind)
            .body(body)
            .send()
            .await?;
        assert_eq!(answer.status(), status, "{kind}");
        let problem: Value = answer.json().await?;
        assert_eq!(
            problem["type"],
            format!("urn:slipway:problem:{code}"),
            "{problem}"
        );
    }
    assert_eq!(list(&site, &who).await?, Vec::<Value>::new());
    Ok(())
}

#[tokio::test]
async fn limits_hold_for_files_whose_size_nobody_said() -> Result<()> {
    let quota = ("SLIPWAY__UPLOADS__ACCOUNT_BYTES_MAX", "2500000");
    let (site, who) = start(&[quota, ("SLIPWAY__UPLOADS__BYTES_MAX", "2000000")])?;
    let put = |length: usize, name: &str| {
        let body = Body::wrap_stream(pieces(random_bytes(length, 8), 50_000, |_| {}));
        let request = Client::new().put(format!("{}/uploads/{name}", site.url()));
        let request = request.bearer_auth(&who.token).body(body);
        async move { anyhow::Ok(request.send().await?.status().as_u16()) }
    };

    assert_eq!(put(2_000_001, "too-large").await?, 413);
    assert_eq!(put(20_000_000, "far-too-large").await?, 413);
    assert_eq!(put(1_500_000, "fits").await?, 201);
    assert_eq!(put(1_100_000, "too-much").await?, 413);
    assert_eq!(put(900_000, "fits-too").await?, 201);

    let names: Vec<Value> = list(&site, &who).await?;
    let names: Vec<_> = names.iter().map(|it| &it["name"]).collect();
    assert_eq!(names, ["fits-too", "fits"]);
    Ok(())
}

#[tokio::test]
async fn a_file_that_is_announced_too_large_is_refused_before_its_bytes_are_read() -> Result<()> {
    let (site, who) = start(&[("SLIPWAY__UPLOADS__BYTES_MAX", "1000")])?;
    let head = format!(
        "PUT /uploads/a.bin HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
         Content-Length: 1001\r\n\r\n",
        who.token
    );
    let mut socket = TcpStream::connect(site.url().trim_start_matches("http://")).await?;

    socket.write_all(head.as_bytes()).await?;

    let mut answer = [0; 12];
    socket.read_exact(&mut answer).await?;
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");
    Ok(())
}

#[tokio::test]
async fn a_file_with_another_hash_than_announced_fails_and_says_so() -> Result<()> {
    use base64::Engine;
    let (site, who) = start(&[])?;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::STANDARD.encode(bytes);
    let digest = |hex: &str| -> Result<Vec<u8>> {
        let pairs = hex.as_bytes().chunks(2).map(std::str::from_utf8);
        pairs
            .map(|pair| Ok(u8::from_str_radix(pair?, 16)?))
            .collect()
    };
    let file = random_bytes(1_300_000, 9);
    for (announced, status) in [(sha256(&file), 201), (sha256(b"other"), 422)] {
        let field = format!("sha-256=:{}:", encode(&digest(&announced)?));
        let answer = Client::new()
            .put(format!("{}/uploads/a.bin", site.url()))
            .bearer_auth(&who.token)
            .header("Repr-Digest", field)
            .body(file.clone())
            .send()
            .await?;
        assert_eq!(answer.status(), status);

        let metadata = format!("sha256 {}", encode(announced.as_bytes()));
        let upload = slipway_tests::Tus::create(&site.url(), &who, file.len(), &metadata).await?;
        let half = upload.patch(0, file.slice(..700_000)).await?;
        assert_eq!(half.status(), StatusCode::NO_CONTENT);
        let rest = upload.patch(700_000, file.slice(700_000..)).await?;
        assert_eq!(rest.status(), if status == 201 { 204 } else { 422 });
    }

    for upload in list(&site, &who).await? {
        let message = upload["message"].as_str().unwrap_or_default();
        match upload["state"].as_str() {
            Some("stored") => assert_eq!(upload["sha256"], sha256(&file).as_str()),
            Some("failed") => assert!(message.contains(&sha256(b"other")), "{message}"),
            other => panic!("{other:?}"),
        }
    }
    Ok(())
}

#[tokio::test]
async fn the_same_content_is_pointed_out_to_whoever_may_see_it() -> Result<()> {
    let (site, who) = start(&[])?;
    let other = site.who("other@example.com", "member")?;
    let chief = site.who("chief@example.com", "administrator")?;
    let put = async |who: &Who, name: &str| -> Result<Value> {
        let answer = Client::new()
            .put(format!("{}/uploads/{name}", site.url()))
            .bearer_auth(&who.token)
            .body("the same")
            .send()
            .await?;
        Ok(answer.error_for_status()?.json().await?)
    };

    let first = put(&who, "first").await?;
    let second = put(&who, "second").await?;
    let others = put(&other, "third").await?;
    let chiefs = put(&chief, "fourth").await?;

    assert_eq!(first["duplicate_of"], Value::Null);
    assert_eq!(second["duplicate_of"]["id"], first["id"]);
    assert_eq!(second["duplicate_of"]["name"], "first");
    assert_eq!(
        others["duplicate_of"],
        Value::Null,
        "it is nobody else's to know"
    );
    assert_eq!(chiefs["duplicate_of"]["id"], first["id"]);
    assert_eq!(list(&site, &who).await?.len(), 2, "both are kept");
    Ok(())
}
