//! Uploads advance in order, once, by their newest writer.

use futures_util::future::join;

use super::*;

#[tokio::test]
async fn bytes_and_offset_move_together_and_the_last_ones_enqueue_the_inspection() {
    let bench = bench().await;
    let id = bench.upload_of(5).await;
    let claim = bench.claim(id, 0).await;

    let claim = bench.advance(claim, b"abc", false).await;
    let claim = bench.advance(claim, b"de", true).await;

    assert_eq!(claim.stored().to_u64(), 5);
    let upload = bench.db.upload_get(id).await.unwrap().unwrap();
    assert_eq!(
        (upload.state, upload.sha256),
        (UploadState::Stored, Some(WHOLE))
    );
    let second = bench
        .db
        .chunk_read(id, ByteCount::from_u32(4))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(
        (second.start.to_u64(), second.data.as_slice()),
        (3, b"de".as_slice())
    );
    assert_eq!(
        bench
            .db
            .chunk_read(id, ByteCount::from_u32(5))
            .await
            .unwrap(),
        None
    );
    assert_eq!(bench.jobs_of(id).await.len(), 1);
}

#[tokio::test]
async fn a_superseded_writer_moves_nothing() {
    let bench = bench().await;
    let id = bench.upload_of(10).await;
    let old = bench.claim(id, 0).await;
    let new = bench.claim(id, 0).await;

    let late = bench
        .db
        .upload_advance(old.clone(), step(b"late", false))
        .await
        .unwrap();
    assert_eq!((late, bench.stored(id).await), (Advanced::Superseded, 0));

    let fresh = bench
        .db
        .upload_advance(new, step(b"fresh", false))
        .await
        .unwrap();
    assert!(matches!(fresh, Advanced::Yes(_)));

    let later = bench
        .db
        .upload_advance(old, step(b"later", false))
        .await
        .unwrap();
    assert_eq!((later, bench.stored(id).await), (Advanced::Superseded, 5));
}

#[tokio::test]
async fn looking_at_an_upload_supersedes_its_writer_but_a_wrong_offset_does_not() {
    let bench = bench().await;
    let id = bench.upload_of(10).await;
    let claim = bench.claim(id, 0).await;

    let wrong = bench
        .db
        .upload_claim(id, ByteCount::from_u32(7), WEEK)
        .await
        .unwrap();
    assert!(matches!(wrong, Claimed::No(upload) if upload.stored == ByteCount::ZERO));
    let claim = bench.advance(claim, b"abc", false).await;

    let taken = bench.db.upload_take(id).await.unwrap();
    assert!(matches!(taken, Taken::Is(upload) if upload.stored.to_u64() == 3));
    let late = bench
        .db
        .upload_advance(claim, step(b"def", false))
        .await
        .unwrap();
    assert_eq!(late, Advanced::Superseded);
}

#[tokio::test]
async fn of_two_connections_with_the_same_bytes_exactly_one_wins() {
    let bench = bench().await;
    for _ in 0..50 {
        let id = bench.upload_of(3).await;
        let both = join(
            bench.db.upload_claim(id, ByteCount::ZERO, WEEK),
            bench.db.upload_claim(id, ByteCount::ZERO, WEEK),
        )
        .await;
        let claims = [both.0.unwrap(), both.1.unwrap()].map(|claimed| match claimed {
            Claimed::Yes(claim, _) => claim,
            other => panic!("not claimed: {other:?}"),
        });
        let [first, second] = claims;

        let (first, second) = join(
            bench.db.upload_advance(first, step(b"abc", true)),
            bench.db.upload_advance(second, step(b"abc", true)),
        )
        .await;

        let won = [first.unwrap(), second.unwrap()]
            .iter()
            .filter(|advanced| matches!(advanced, Advanced::Yes(_)))
            .count();
        assert_eq!(won, 1);
        assert_eq!(bench.jobs_of(id).await.len(), 1);
    }
}

#[tokio::test]
async fn a_removed_upload_is_superseded_swept_and_at_last_forgotten() {
    let bench = bench().await;
    let id = bench.upload_of(6).await;
    let claim = bench.claim(id, 0).await;
    let claim = bench.advance(claim, b"abc", false).await;

    assert!(bench.db.upload_remove(id).await.unwrap());
    assert!(!bench.db.upload_remove(id).await.unwrap());
    let late = bench
        .db
        .upload_advance(claim, step(b"def", true))
        .await
        .unwrap();
    assert_eq!(late, Advanced::Superseded);

    let tomorrow = time::OffsetDateTime::now_utc() + time::Duration::DAY;
    assert_eq!(
        bench.db.upload_forget(tomorrow).await.unwrap(),
        0,
        "bytes are still there"
    );
    assert_eq!(bench.db.chunk_sweep(64).await.unwrap(), 1);
    assert_eq!(bench.db.upload_forget(tomorrow).await.unwrap(), 1);
    assert_eq!(bench.db.upload_take(id).await.unwrap(), Taken::Missing);
}

#[tokio::test]
async fn only_unfinished_uploads_expire() {
    let bench = bench().await;
    let unfinished = bench.upload_of(6).await;
    let finished = bench.upload_of(3).await;
    let claim = bench.claim(finished, 0).await;
    bench
        .db
        .upload_advance(claim, step(b"abc", true))
        .await
        .unwrap();
    bench.database.execute("UPDATE uploads SET created_at = created_at - interval '1 year', expires_at = expires_at - interval '1 year'").unwrap();

    assert_eq!(bench.db.upload_expire().await.unwrap(), 1);

    let state = async |id| bench.db.upload_get(id).await.unwrap().unwrap().state;
    assert_eq!(state(unfinished).await, UploadState::Expired);
    assert_eq!(state(finished).await, UploadState::Stored);
    assert_eq!(
        bench.db.chunk_sweep(64).await.unwrap(),
        0,
        "the finished file keeps its bytes"
    );
}
