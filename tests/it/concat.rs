//! Files that are put together from others (tus, concatenation).

use anyhow::{Context, Result};
use bytes::Bytes;
use futures_util::future::try_join_all;
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use slipway_tests::{CHUNK_TYPE, Site, Storage, Tus, Who, random_bytes, sha256, stores};

use crate::uploads::answer;
use crate::{eventually, metadata, settled};

/// Announces with these headers; a place if there is one.
async fn announce(site: &Site, who: &Who, headers: &[(&str, &str)]) -> Result<Response> {
    let request = reqwest::Client::new().post(format!("{}/files/", site.url()));
    let request = request
        .header("Tus-Resumable", "1.0.0")
        .bearer_auth(&who.token);
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    Ok(request.send().await?)
}

fn placed(site: &Site, response: &Response) -> Result<Tus> {
    let place = response.headers().get("location").context("no Location")?;
    Tus::at(&site.url(), place.to_str()?)
}

async fn part(site: &Site, who: &Who, length: usize) -> Result<Tus> {
    let length = length.to_string();
    let headers = [("Upload-Concat", "partial"), ("Upload-Length", &length)];
    placed(site, &announce(site, who, &headers).await?)
}

/// The header that names these parts: absolute and relative addresses in turns.
fn of_parts<'a>(site: &Site, parts: impl IntoIterator<Item = &'a Tus>) -> String {
    let addresses = parts.into_iter().enumerate().map(|(number, part)| {
        let relative = part.url.trim_start_matches(&site.url());
        if number % 2 == 0 {
            part.url.as_str()
        } else {
            relative
        }
    });
    format!("final;{}", addresses.collect::<Vec<_>>().join(" "))
}

async fn content(site: &Site, who: &Who, id: &str) -> Result<Bytes> {
    let url = format!("{}/api/v1/uploads/{id}/content", site.url());
    let request = reqwest::Client::new().get(url).bearer_auth(&who.token);
    Ok(request.send().await?.error_for_status()?.bytes().await?)
}

#[tokio::test]
async fn parts_become_one_file_in_the_order_they_are_named_on_every_store() -> Result<()> {
    for store in stores() {
        let storage = Storage::of(store)?;
        let site = Site::start_with(&storage.settings())?;
        let who = site.who("dev@example.com", "member")?;
        let (first, second) = (random_bytes(2_500_000, 61), random_bytes(700_001, 62));
        let (a, b, empty) = (
            part(&site, &who, first.len()).await?,
            part(&site, &who, second.len()).await?,
            part(&site, &who, 0).await?,
        );
        a.patch(0, first.clone()).await?.error_for_status()?;
        b.patch(0, second.clone()).await?.error_for_status()?;
        let named = of_parts(&site, [&b, &a, &empty, &b]);

        let sent = metadata("whole.bin", "x/y");
        let headers = [
            ("Upload-Concat", named.as_str()),
            ("Upload-Metadata", &sent),
        ];
        let created = announce(&site, &who, &headers).await?;

        assert_eq!(created.status(), StatusCode::CREATED, "{store}");
        let whole = placed(&site, &created)?;
        let expected: Vec<u8> = [&second[..], &first, &second].concat();
        let json = stored(&site, &who, whole.id()).await?;
        assert_eq!(json["sha256"], sha256(&expected).as_str(), "{store}");
        assert_eq!(json["name"], "whole.bin");
        assert!(
            content(&site, &who, whole.id()).await? == expected,
            "{store}"
        );
        let head = whole.request(Method::HEAD).send().await?;
        let length = expected.len().to_string();
        for (name, value) in [
            ("upload-concat", named.as_str()),
            ("upload-offset", &length),
            ("upload-length", &length),
            ("upload-metadata", &sent),
        ] {
            assert_eq!(head.headers()[name], value, "{store} {name}");
        }
        let head = a.request(Method::HEAD).send().await?;
        assert_eq!(head.headers()["upload-concat"], "partial");
        let refused = answer(whole.patch(expected.len(), "").await?).await?;
        assert_eq!(refused, (403, "final".to_owned()), "{store}");
        assert_eq!(names(&site, &who).await?, json!(["whole.bin"]), "{store}");
    }
    Ok(())
}

#[tokio::test]
async fn a_file_can_be_named_before_its_parts_are_whole() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(4_000_000, 63);
    let mut parts = Vec::new();
    for _ in 0..4 {
        parts.push(part(&site, &who, 1_000_000).await?);
    }
    let named = of_parts(&site, &parts);
    let created = announce(&site, &who, &[("Upload-Concat", &named)]).await?;
    let whole = placed(&site, &created)?;
    let head = whole.request(Method::HEAD).send().await?;
    assert_eq!(head.headers()["upload-length"], "4000000");
    assert!(
        !head.headers().contains_key("upload-offset"),
        "nobody may send to it"
    );
    let refused = answer(whole.patch(0, "x").await?).await?;
    assert_eq!(refused, (403, "final".to_owned()));

    // All at once, so that each could be the last.
    let sending = parts.iter().zip([0, 1, 2, 3]).map(|(part, number)| {
        let start = number * 1_000_000;
        part.patch(0, file.slice(start..start + 1_000_000))
    });
    for answer in try_join_all(sending).await? {
        answer.error_for_status()?;
    }

    let json = stored(&site, &who, whole.id()).await?;
    assert_eq!(json["sha256"], sha256(&file).as_str());
    Ok(())
}

#[tokio::test]
async fn an_assembly_goes_on_where_a_killed_worker_stopped() -> Result<()> {
    let mut site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(48 * 1024 * 1024, 64);
    let half = file.len() / 2;
    let parts = [
        part(&site, &who, half).await?,
        part(&site, &who, half).await?,
    ];
    parts[0]
        .patch(0, file.slice(..half))
        .await?
        .error_for_status()?;
    parts[1]
        .patch(0, file.slice(half..))
        .await?
        .error_for_status()?;
    let named = of_parts(&site, &parts);
    let created = announce(&site, &who, &[("Upload-Concat", &named)]).await?;
    let whole = placed(&site, &created)?;
    let query = format!(
        "SELECT stored_bytes::text AS value FROM uploads WHERE id = '{}' AND stored_bytes > 0",
        whole.id()
    );
    eventually("some of it is put together", || {
        Ok(!site.database().query(&query)?.is_empty())
    })
    .await?;

    site.kill()?;
    site.database()
        .execute("UPDATE jobs SET lease_until = now() WHERE state = 'running'")?;
    site.run()?;

    let json = stored(&site, &who, whole.id()).await?;
    assert_eq!(json["sha256"], sha256(&file).as_str());
    Ok(())
}

#[tokio::test]
async fn what_is_no_part_of_the_senders_cannot_be_named() -> Result<()> {
    let site = Site::start_with(&[("SLIPWAY__UPLOADS__BYTES_MAX", "1000")])?;
    let who = site.who("dev@example.com", "member")?;
    let other = site.who("other@example.com", "member")?;
    let mine = part(&site, &who, 600).await?;
    let theirs = part(&site, &other, 5).await?;
    let plain = Tus::create(&site.url(), &who, 5, "").await?;
    let removed = part(&site, &who, 5).await?;
    removed
        .request(Method::DELETE)
        .send()
        .await?
        .error_for_status()?;
    let foreign_key = format!("{}/files/{}.AAAAAAAAAAAAAAAAAAAAAA", site.url(), mine.id());

    for (named, status) in [
        (of_parts(&site, [&theirs]), 400),
        (of_parts(&site, [&plain]), 400),
        (of_parts(&site, [&removed]), 400),
        (of_parts(&site, [&mine, &mine]), 413),
        (format!("final;{foreign_key}"), 400),
        (format!("final;/files/{}", mine.id()), 400),
        ("final;/files/../../../../etc/passwd".to_owned(), 400),
        ("final;/files/..%2f..%2fetc%2fpasswd".to_owned(), 400),
        ("final;/etc/passwd".to_owned(), 400),
        ("final;file:///etc/passwd".to_owned(), 400),
        ("final;..".to_owned(), 400),
        ("final;".to_owned(), 400),
        ("whole".to_owned(), 400),
    ] {
        let refused = announce(&site, &who, &[("Upload-Concat", &named)]).await?;
        assert_eq!(refused.status().as_u16(), status, "{named}");
    }
    let named = of_parts(&site, [&mine]);
    let with_length = [("Upload-Concat", named.as_str()), ("Upload-Length", "600")];
    let refused = announce(&site, &who, &with_length).await?;
    assert_eq!(refused.status(), StatusCode::BAD_REQUEST);
    let with_bytes = reqwest::Client::new()
        .post(format!("{}/files/", site.url()))
        .header("Tus-Resumable", "1.0.0")
        .header("Upload-Concat", &named)
        .header("Content-Type", CHUNK_TYPE)
        .bearer_auth(&who.token)
        .body("x");
    assert_eq!(with_bytes.send().await?.status(), StatusCode::BAD_REQUEST);
    Ok(())
}

#[tokio::test]
async fn parts_are_removed_in_time_but_not_while_a_file_waits_for_them() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let (done, missing) = (part(&site, &who, 5).await?, part(&site, &who, 5).await?);
    done.patch(0, "hello").await?.error_for_status()?;
    let named = of_parts(&site, [&done, &missing]);
    let created = announce(&site, &who, &[("Upload-Concat", &named)]).await?;
    let whole = placed(&site, &created)?;
    let unneeded = part(&site, &who, 5).await?;
    unneeded.patch(0, "hello").await?.error_for_status()?;

    let overdue = "UPDATE uploads SET expires_at = now() - interval '1 day' \
                   WHERE concat = 'partial' AND state = 'stored'";
    site.database().execute(overdue)?;
    let removed = "SELECT id::text AS value FROM uploads WHERE removed_at IS NOT NULL";
    eventually("the unneeded part is removed", || {
        Ok(site.database().query(removed)? == [unneeded.id()])
    })
    .await?;
    missing.patch(0, "world").await?.error_for_status()?;
    let json = stored(&site, &who, whole.id()).await?;
    assert_eq!(json["sha256"], sha256(b"helloworld").as_str());

    site.database().execute(overdue)?;
    eventually("all parts are removed", || {
        Ok(site.database().query(removed)?.len() == 3)
    })
    .await?;
    assert_eq!(content(&site, &who, whole.id()).await?, "helloworld");
    Ok(())
}

/// The upload once it is stored and its jobs have come to rest.
async fn stored(site: &Site, who: &Who, id: &str) -> Result<Value> {
    let query = format!("SELECT 'it' AS value FROM uploads WHERE id = '{id}' AND state = 'stored'");
    eventually("the file is put together", || {
        Ok(!site.database().query(&query)?.is_empty())
    })
    .await?;
    settled(site, who, id).await
}

/// The names of the uploads that an account is shown.
async fn names(site: &Site, who: &Who) -> Result<Value> {
    let url = format!("{}/api/v1/uploads", site.url());
    let request = reqwest::Client::new().get(url).bearer_auth(&who.token);
    let list: Value = request.send().await?.json().await?;
    let uploads = list["uploads"].as_array().context("no list")?;
    Ok(uploads
        .iter()
        .map(|upload| upload["name"].clone())
        .collect())
}
