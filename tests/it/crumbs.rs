//! Senders of many small pieces: a claim goes on from piece to piece, and whoever comes
//! between is noticed all the same.

use anyhow::Result;
use bytes::Bytes;
use reqwest::{Method, StatusCode};
use slipway_tests::{CHUNK_TYPE, Site, Storage, Tus, Who, random_bytes, sha256, stores};

use crate::settled;

/// Bytes of a piece.
const PIECE: usize = 50_000;

async fn upload_of(site: &Site, who: &Who, pieces: usize) -> Result<(Bytes, Tus)> {
    let file = random_bytes(pieces * PIECE, 77);
    let upload = Tus::create(&site.url(), who, file.len(), "").await?;
    Ok((file, upload))
}

/// How often the only upload was claimed or asked for.
fn claims(site: &Site) -> Result<usize> {
    let writers = "SELECT writer::text AS value FROM uploads";
    Ok(site.database().query(writers)?.concat().parse()?)
}

async fn send(upload: &Tus, file: &Bytes, piece: usize) -> Result<StatusCode> {
    let at = piece * PIECE;
    let sent = upload.patch(at, file.slice(at..at + PIECE)).await?;
    Ok(sent.status())
}

#[tokio::test]
async fn pieces_that_follow_each_other_are_one_claim_on_every_store() -> Result<()> {
    for store in stores() {
        let storage = Storage::of(store)?;
        let site = Site::start_with(&storage.settings())?;
        let who = site.who("dev@example.com", "member")?;
        let (file, upload) = upload_of(&site, &who, 20).await?;

        for piece in 0..10 {
            assert_eq!(send(&upload, &file, piece).await?, StatusCode::NO_CONTENT);
        }
        // One, where ten pieces take less time than a claim stands.
        assert!(claims(&site)? < 10, "{store}");
        assert_eq!(upload.offset().await?, 10 * PIECE);
        for piece in 10..20 {
            assert_eq!(send(&upload, &file, piece).await?, StatusCode::NO_CONTENT);
        }
        assert!(claims(&site)? < 20, "{store}");

        let json = settled(&site, &who, upload.id()).await?;
        assert_eq!(json["sha256"], sha256(&file).as_str(), "{store}");
    }
    Ok(())
}

#[tokio::test]
async fn a_claim_ends_with_a_piece_at_a_wrong_place_or_with_a_wrong_checksum() -> Result<()> {
    let site = Site::start()?;
    let who = site.who("dev@example.com", "member")?;
    let (file, upload) = upload_of(&site, &who, 4).await?;
    assert_eq!(send(&upload, &file, 0).await?, StatusCode::NO_CONTENT);

    assert_eq!(send(&upload, &file, 2).await?, StatusCode::CONFLICT);
    assert_eq!(send(&upload, &file, 1).await?, StatusCode::NO_CONTENT);
    assert!(claims(&site)? >= 2);

    let wrong = upload
        .request(Method::PATCH)
        .header("Upload-Offset", 2 * PIECE)
        .header("Content-Type", CHUNK_TYPE)
        .header("Upload-Checksum", "sha1 Kq5sNclPz7QV2+lfQIuc6R7oRu0=")
        .body(file.slice(..PIECE));
    assert_eq!(wrong.send().await?.status().as_u16(), 460);
    for piece in 2..4 {
        assert_eq!(send(&upload, &file, piece).await?, StatusCode::NO_CONTENT);
    }

    let json = settled(&site, &who, upload.id()).await?;
    assert_eq!(json["sha256"], sha256(&file).as_str());
    Ok(())
}

#[tokio::test]
async fn a_claim_that_another_process_has_taken_over_stands_no_more() -> Result<()> {
    let first = Site::start()?;
    let second = first.start_beside()?;
    let who = first.who("dev@example.com", "member")?;
    let (file, here) = upload_of(&first, &who, 5).await?;
    let mut there = here.clone();
    there.url = here.url.replace(&first.url(), &second.url());
    assert_eq!(send(&here, &file, 0).await?, StatusCode::NO_CONTENT);

    // Somebody asks there and goes on here, at once: either the claim is known to be
    // lost by now, or it is found out, and the next try is fine.
    assert_eq!(there.offset().await?, PIECE);
    let next = send(&here, &file, 1).await?;
    assert!([StatusCode::NO_CONTENT, StatusCode::LOCKED].contains(&next));
    if next == StatusCode::LOCKED {
        assert_eq!(send(&here, &file, 1).await?, StatusCode::NO_CONTENT);
    }

    // Somebody goes on there; what is repeated here is told where the file stands.
    assert_eq!(send(&there, &file, 2).await?, StatusCode::NO_CONTENT);
    assert_eq!(send(&here, &file, 2).await?, StatusCode::CONFLICT);
    assert_eq!(send(&here, &file, 3).await?, StatusCode::NO_CONTENT);

    // Somebody gives it up there.
    let removed = there.request(Method::DELETE).send().await?;
    assert_eq!(removed.status(), StatusCode::NO_CONTENT);
    assert_eq!(send(&here, &file, 4).await?, StatusCode::GONE);
    Ok(())
}
