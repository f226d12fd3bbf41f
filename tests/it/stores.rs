//! What every store promises: bytes that were acknowledged are there, and only bytes
//! that nobody wants are removed.

use anyhow::{Context, Result};
use bytes::Bytes;
use reqwest::{Body, StatusCode};
use slipway_tests::{Site, Storage, Tus, Who, pieces, random_bytes, sha256, stores};

use crate::{eventually, settled};

#[tokio::test]
async fn an_upload_survives_kills_on_every_store_and_reads_back_equal() -> Result<()> {
    for store in stores() {
        let storage = Storage::of(store)?;
        let mut site = Site::start_with(&storage.settings())?;
        let who = site.who("dev@example.com", "member")?;
        let file = random_bytes(40 * 1024 * 1024 + 7, 2);
        let upload = Tus::create(&site.url(), &who, file.len(), "").await?;
        let mut kills = 0;
        let mut offset = 0;

        while offset < file.len() {
            let (sending, rest) = (upload.clone(), file.slice(offset..));
            let patching = tokio::spawn(async move {
                let body = Body::wrap_stream(pieces(rest, 64 * 1024, |_| {}));
                sending.patch(offset, body).await
            });
            if kills < 3 {
                eventually("more is stored", || {
                    Ok(stored(&site, upload.id())? > offset || patching.is_finished())
                })
                .await?;
                site.kill()?;
                site.run()?;
                kills += 1;
            }
            drop(patching.await?);
            let durable = upload.offset().await?;
            assert!(durable >= offset, "{store}: {durable} < {offset}");
            offset = durable;
        }

        let json = settled(&site, &who, upload.id()).await?;
        assert_eq!(json["state"], "stored", "{store}: {json}");
        assert_eq!(json["sha256"], sha256(&file).as_str(), "{store}");
        assert!(content(&site, &who, upload.id()).await? == file, "{store}");
    }
    Ok(())
}

#[tokio::test]
async fn late_bytes_of_a_connection_on_another_process_never_land_on_any_store() -> Result<()> {
    for store in stores() {
        let storage = Storage::of(store)?;
        let first = Site::start_with(&storage.settings())?;
        let second = first.start_beside()?;
        let who = first.who("dev@example.com", "member")?;
        let file = random_bytes(24 * 1024 * 1024, 5);
        let old = Tus::create(&first.url(), &who, file.len(), "").await?;
        let mut new = old.clone();
        new.url = old.url.replace(&first.url(), &second.url());
        let garbage = random_bytes(file.len(), 99);
        let sending = tokio::spawn(async move {
            let body = Body::wrap_stream(pieces(garbage, 64 * 1024, |_| {}));
            old.patch(0, body).await
        });
        let stored_bytes = || stored(&first, new.id());
        eventually("the first connection has begun", || Ok(stored_bytes()? > 0)).await?;
        // What it has stored counts; the rest must come from the newcomer.
        let offset = new.offset().await?;

        let answer = new.patch(offset, file.slice(offset..)).await?;

        assert_eq!(answer.status(), StatusCode::NO_CONTENT, "{store}");
        drop(sending.await?);
        let mut expected = random_bytes(file.len(), 99)[..offset].to_vec();
        expected.extend_from_slice(&file[offset..]);
        let json = settled(&second, &who, new.id()).await?;
        assert_eq!(json["state"], "stored", "{store}: {json}");
        assert!(
            content(&first, &who, new.id()).await? == expected,
            "{store}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn files_stay_where_they_are_when_another_store_is_chosen() -> Result<()> {
    let storage = Storage::of("disk")?;
    let path = storage.folder().context("no folder")?.display().to_string();
    let mut site = Site::start_with(&storage.settings())?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(300_000, 8);
    let half = Tus::create(&site.url(), &who, file.len(), "").await?;
    half.patch(0, file.slice(..100_000))
        .await?
        .error_for_status()?;

    site.stop()?;
    site.set("SLIPWAY__UPLOADS__STORE", "postgres");
    site.set("SLIPWAY__UPLOADS__DISK_PATH", &path);
    site.run()?;
    // May find out that the old server has closed its connection.
    drop(half.offset().await);

    let rest = half.patch(100_000, file.slice(100_000..)).await?;
    assert_eq!(rest.status(), StatusCode::NO_CONTENT);
    assert!(content(&site, &who, half.id()).await? == file);
    let new = Tus::create(&site.url(), &who, 5, "").await?;
    new.patch(0, Bytes::from_static(b"hello"))
        .await?
        .error_for_status()?;
    assert_eq!(files(&storage)?, [half.id()]);
    Ok(())
}

#[tokio::test]
async fn parts_leave_postgres_for_the_bucket_and_the_end_leaves_nothing_there() -> Result<()> {
    if !stores().contains(&"s3") {
        return Ok(());
    }
    let storage = Storage::of("s3")?;
    let bucket = storage.bucket().context("no bucket")?;
    let site = Site::start_with(&storage.settings())?;
    let who = site.who("dev@example.com", "member")?;
    let file = random_bytes(20 * 1024 * 1024 + 11, 9);
    let chunks = || {
        let query = "SELECT coalesce(sum(octet_length(data)), 0)::text AS value FROM chunks";
        Ok::<usize, anyhow::Error>(site.database().query(query)?[0].parse()?)
    };
    let upload = Tus::create(&site.url(), &who, file.len(), "").await?;

    let first = upload.patch(0, file.slice(..9_000_000)).await?;

    assert_eq!(first.status(), StatusCode::NO_CONTENT);
    assert_eq!(chunks()?, 9_000_000 - 8 * 1024 * 1024);
    assert!(bucket.list("?uploads")?.contains(upload.id()));
    let rest = upload.patch(9_000_000, file.slice(9_000_000..)).await?;
    assert_eq!(rest.status(), StatusCode::NO_CONTENT);
    settled(&site, &who, upload.id()).await?;
    assert_eq!(chunks()?, 0);
    assert!(!bucket.list("?uploads")?.contains(upload.id()));
    assert!(bucket.list("")?.contains(upload.id()));
    assert!(content(&site, &who, upload.id()).await? == file);
    Ok(())
}

#[tokio::test]
async fn a_removed_upload_leaves_nothing_in_the_bucket() -> Result<()> {
    if !stores().contains(&"s3") {
        return Ok(());
    }
    let storage = Storage::of("s3")?;
    let bucket = storage.bucket().context("no bucket")?;
    let site = Site::start_with(&storage.settings())?;
    let who = site.who("dev@example.com", "member")?;
    let kept = Tus::create(&site.url(), &who, 3, "").await?;
    kept.patch(0, Bytes::from_static(b"abc"))
        .await?
        .error_for_status()?;
    settled(&site, &who, kept.id()).await?;
    let removed = Tus::create(&site.url(), &who, 20_000_000, "").await?;
    removed
        .patch(0, random_bytes(9_000_000, 4))
        .await?
        .error_for_status()?;
    assert!(bucket.list("?uploads")?.contains(removed.id()));

    removed.request(reqwest::Method::DELETE).send().await?;

    eventually("the unfinished object is aborted", || {
        Ok(!bucket.list("?uploads")?.contains(removed.id()))
    })
    .await?;
    assert!(content(&site, &who, kept.id()).await? == "abc");
    Ok(())
}

#[tokio::test]
async fn a_hash_that_is_left_to_the_inspection_is_there_when_the_file_is_stored() -> Result<()> {
    for store in stores() {
        let storage = Storage::of(store)?;
        let mut settings = storage.settings();
        settings.push(("SLIPWAY__UPLOADS__HASH", "inspection"));
        let site = Site::start_with(&settings)?;
        let who = site.who("dev@example.com", "member")?;
        let file = random_bytes(1_500_000, 3);
        let upload = Tus::create(&site.url(), &who, file.len(), "").await?;

        upload
            .patch(0, file.slice(..700_000))
            .await?
            .error_for_status()?;
        upload
            .patch(700_000, file.slice(700_000..))
            .await?
            .error_for_status()?;

        let json = settled(&site, &who, upload.id()).await?;
        assert_eq!(json["state"], "stored", "{store}");
        assert_eq!(json["sha256"], sha256(&file).as_str(), "{store}");
    }
    Ok(())
}

#[tokio::test]
async fn the_file_of_a_removed_upload_is_deleted_and_no_other() -> Result<()> {
    let storage = Storage::of("disk")?;
    let site = Site::start_with(&storage.settings())?;
    let who = site.who("dev@example.com", "member")?;
    let kept = Tus::create(&site.url(), &who, 3, "").await?;
    kept.patch(0, Bytes::from_static(b"abc"))
        .await?
        .error_for_status()?;
    let removed = Tus::create(&site.url(), &who, 3, "").await?;

    let answer = removed.request(reqwest::Method::DELETE).send().await?;

    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    eventually("the file is deleted", || Ok(files(&storage)?.len() == 1)).await?;
    assert_eq!(files(&storage)?, [kept.id()]);
    assert!(content(&site, &who, kept.id()).await? == "abc");
    Ok(())
}

/// The names of the files in a disk store.
fn files(storage: &Storage) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for shard in std::fs::read_dir(storage.folder().context("no folder")?)? {
        for file in std::fs::read_dir(shard?.path())? {
            names.push(file?.file_name().to_string_lossy().into_owned());
        }
    }
    Ok(names)
}

async fn content(site: &Site, who: &Who, id: &str) -> Result<Bytes> {
    let url = format!("{}/api/v1/uploads/{id}/content", site.url());
    let request = reqwest::Client::new().get(url).bearer_auth(&who.token);
    Ok(request.send().await?.error_for_status()?.bytes().await?)
}

fn stored(site: &Site, id: &str) -> Result<usize> {
    let query = format!("SELECT stored_bytes::text AS value FROM uploads WHERE id = '{id}'");
    let found = site.database().query(&query)?;
    Ok(found.first().map_or(Ok(0), |value| value.parse())?)
}
