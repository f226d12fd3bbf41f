//! Uploads advance in order, once, by their newest writer.

use futures_util::future::{join, join_all};

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
        (second.start.to_u64(), &second.data[..]),
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
        .upload_advance(old.clone(), step(&old, b"late", false))
        .await
        .unwrap();
    assert_eq!((late, bench.stored(id).await), (Advanced::Superseded, 0));

    let fresh = bench
        .db
        .upload_advance(new.clone(), step(&new, b"fresh", false))
        .await
        .unwrap();
    assert!(matches!(fresh, Advanced::Yes(_)));

    let later = bench
        .db
        .upload_advance(old.clone(), step(&old, b"later", false))
        .await
        .unwrap();
    assert_eq!((later, bench.stored(id).await), (Advanced::Superseded, 5));
}

#[tokio::test]
async fn looking_at_an_upload_supersedes_its_writer_but_a_wrong_offset_does_not() {
    let bench = bench().await;
    let id = bench.upload_of(10).await;
    let claim = bench.claim(id, 0).await;

    let wrong = bench.db.upload_claim(id, bid(7), WEEK).await.unwrap();
    assert!(matches!(wrong, Claimed::No(upload) if upload.stored == ByteCount::ZERO));
    let claim = bench.advance(claim, b"abc", false).await;

    let taken = bench.db.upload_take(id).await.unwrap();
    assert!(matches!(taken, Taken::Is { upload, .. } if upload.stored.to_u64() == 3));
    let late = bench
        .db
        .upload_advance(claim.clone(), step(&claim, b"def", false))
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
            bench.db.upload_claim(id, bid(0), WEEK),
            bench.db.upload_claim(id, bid(0), WEEK),
        )
        .await;
        let claims = [both.0.unwrap(), both.1.unwrap()].map(|claimed| match claimed {
            Claimed::Yes(claim, _) => claim,
            other => panic!("not claimed: {other:?}"),
        });
        let [first, second] = claims;

        let (first, second) = join(
            bench
                .db
                .upload_advance(first.clone(), step(&first, b"abc", true)),
            bench
                .db
                .upload_advance(second.clone(), step(&second, b"abc", true)),
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

    assert!(bench.db.upload_remove(id, None).await.unwrap());
    assert!(!bench.db.upload_remove(id, None).await.unwrap());
    let late = bench
        .db
        .upload_advance(claim.clone(), step(&claim, b"def", true))
        .await
        .unwrap();
    assert_eq!(late, Advanced::Superseded);

    let tomorrow = time::OffsetDateTime::now_utc() + time::Duration::DAY;
    assert_eq!(
        bench.db.upload_forget(tomorrow).await.unwrap(),
        0,
        "bytes are still there"
    );
    while bench.db.chunk_sweep(64).await.unwrap() > 0 {}
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
        .upload_advance(claim.clone(), step(&claim, b"abc", true))
        .await
        .unwrap();
    bench.database.execute("UPDATE uploads SET created_at = created_at - interval '1 year', expires_at = expires_at - interval '1 year'").unwrap();

    assert_eq!(bench.db.upload_expire().await.unwrap(), 1);

    let state = async |id| bench.db.upload_get(id).await.unwrap().unwrap().state;
    assert_eq!(state(unfinished).await, UploadState::Expired);
    assert_eq!(state(finished).await, UploadState::Stored);
    while bench.db.chunk_sweep(64).await.unwrap() > 0 {}
    let bytes = bench.db.chunk_read(finished, ByteCount::ZERO).await;
    assert!(
        bytes.unwrap().is_some(),
        "the finished file keeps its bytes"
    );
}

#[tokio::test]
async fn what_was_written_ahead_is_part_of_the_file_once_the_upload_passes_it() {
    let bench = bench().await;
    let id = bench.upload_of(8).await;
    let claim = bench.claim(id, 0).await;

    assert!(bench.write_ahead(&claim, 0, b"abc").await);
    assert!(bench.write_ahead(&claim, 3, b"de").await);
    assert_eq!(bench.stored(id).await, 0);
    let mut step = step(&claim, b"fg", false);
    step.to = ByteCount::from_u32(7);
    step.chunk.as_mut().unwrap().start = ByteCount::from_u32(5);
    let advanced = bench.db.upload_advance(claim, step).await.unwrap();

    assert!(matches!(advanced, Advanced::Yes(claim) if claim.stored().to_u64() == 7));
    for (at, data) in [(0, "abc"), (4, "de"), (6, "fg")] {
        let chunk = bench.db.chunk_read(id, ByteCount::from_u32(at)).await;
        assert_eq!(chunk.unwrap().unwrap().data, data, "{at}");
    }
}

#[tokio::test]
async fn what_was_written_ahead_and_given_up_is_gone_with_the_next_claim() {
    let bench = bench().await;
    let id = bench.upload_of(6).await;
    let old = bench.claim(id, 0).await;
    let old = bench.advance(old, b"abc", false).await;
    assert!(bench.write_ahead(&old, 3, b"xy").await);

    let new = bench.claim(id, 3).await;

    assert!(!bench.write_ahead(&old, 5, b"z").await, "it is superseded");
    bench.advance(new, b"def", true).await;
    let chunk = bench.db.chunk_read(id, ByteCount::from_u32(4)).await;
    assert_eq!(chunk.unwrap().unwrap().data, "def");
}

#[tokio::test]
async fn only_removed_and_expired_uploads_are_offered_for_sweeping() {
    let bench = bench().await;
    let ids = [bench.upload_of(3).await, bench.upload_of(3).await];
    let (kept, removed) = (bench.stored_file().await, bench.stored_file().await);
    bench
        .database
        .execute("UPDATE uploads SET store = 'disk'; DELETE FROM chunks")
        .unwrap();
    let unswept = async || {
        let unswept = bench.db.upload_unswept(StoreKind::Disk, 10).await;
        unswept.unwrap()
    };
    assert_eq!(unswept().await, []);

    bench.db.upload_remove(removed, None).await.unwrap();
    bench.database.execute(&format!("UPDATE uploads SET created_at = created_at - interval '1 year', expires_at = expires_at - interval '1 year' WHERE id <> '{}'", ids[0])).unwrap();
    bench.db.upload_expire().await.unwrap();

    let mut offered = unswept().await;
    offered.sort();
    assert_eq!(offered, [ids[1], removed]);
    bench.db.upload_swept(offered).await.unwrap();
    assert_eq!(unswept().await, []);
    let upload = bench.db.upload_get(kept).await.unwrap().unwrap();
    assert_eq!(upload.state, UploadState::Stored);
}

#[tokio::test]
async fn an_upload_is_not_forgotten_before_its_store_was_swept() {
    let bench = bench().await;
    let id = bench.upload_of(3).await;
    bench
        .database
        .execute("UPDATE uploads SET store = 'disk'")
        .unwrap();
    bench.db.upload_remove(id, None).await.unwrap();
    let tomorrow = time::OffsetDateTime::now_utc() + time::Duration::DAY;

    assert_eq!(bench.db.upload_forget(tomorrow).await.unwrap(), 0);

    bench.db.upload_swept(vec![id]).await.unwrap();
    assert_eq!(bench.db.upload_forget(tomorrow).await.unwrap(), 1);
}

#[tokio::test]
async fn a_quota_is_kept_however_many_announce_at_once() {
    let bench = bench().await;
    let quota = Quota {
        bytes_max: ByteCount::from_u32(10),
        open_max: 100,
    };

    let announced = join_all((0..8).map(|_| bench.announce(3, quota))).await;

    let created = |outcome: &&Created| matches!(outcome, Created::Yes(_));
    assert_eq!(announced.iter().filter(created).count(), 3);
    let usage = bench.db.upload_usage(bench.owner).await.unwrap();
    assert_eq!((usage.bytes.to_u64(), usage.open), (9, 3));
    let holdings = bench.db.upload_holdings().await.unwrap();
    assert_eq!((holdings.bytes.to_u64(), holdings.awaited), (9, 9));
}

#[tokio::test]
async fn what_is_removed_expired_or_complete_makes_room() {
    let bench = bench().await;
    let one_open = Quota {
        bytes_max: ByteCount::from_u32(4),
        open_max: 1,
    };
    let refused = |outcome: &Created| matches!(outcome, Created::OverQuota(_));
    let first = bench.upload_of(2).await;
    assert!(refused(&bench.announce(0, one_open).await), "one is open");

    let claim = bench.claim(first, 0).await;
    bench.advance(claim, b"ab", true).await;
    assert!(
        refused(&bench.announce(3, one_open).await),
        "two are stored"
    );
    let Created::Yes(second) = bench.announce(2, one_open).await else {
        panic!("there is room for two");
    };

    bench.db.upload_remove(first, None).await.unwrap();
    bench.make_old(second.id);
    assert_eq!(bench.db.upload_expire().await.unwrap(), 1);
    let usage = bench.db.upload_usage(bench.owner).await.unwrap();
    assert_eq!((usage.bytes.to_u64(), usage.open), (0, 0));
}

#[tokio::test]
async fn expiring_never_touches_a_finished_upload_however_old() {
    let bench = bench().await;
    let stored = bench.stored_file().await;
    let claim = bench.claim(bench.upload_of(2).await, 0).await;
    let (half, _) = (claim.id(), bench.advance(claim, b"a", false).await);
    bench.make_old(stored);

    let expired = bench.db.upload_expire().await.unwrap();
    while bench.db.chunk_sweep(64).await.unwrap() > 0 {}

    assert_eq!(expired, 0);
    let upload = bench.db.upload_get(stored).await.unwrap().unwrap();
    assert_eq!(upload.state, UploadState::Stored);
    assert!(
        bench
            .db
            .chunk_read(stored, ByteCount::ZERO)
            .await
            .unwrap()
            .is_some()
    );
    let half = bench.db.upload_get(half).await.unwrap().unwrap();
    assert_eq!(half.state, UploadState::Receiving, "its time has not come");
}

#[tokio::test]
async fn a_sweep_ends_and_does_not_look_at_what_it_has_swept() {
    let bench = bench().await;
    let kept = bench.stored_file().await;
    for _ in 0..20 {
        let id = bench.stored_file().await;
        bench.db.upload_remove(id, None).await.unwrap();
    }

    let mut rounds = 0;
    while bench.db.chunk_sweep(8).await.unwrap() > 0 {
        rounds += 1;
        assert!(rounds < 100, "it does not end");
    }

    let count = |what: &str| {
        let sql = format!("SELECT count(*)::text AS value FROM {what}");
        bench.database.query(&sql).unwrap().remove(0)
    };
    assert_eq!(count("chunks"), "1");
    assert_eq!(count("uploads WHERE swept_at IS NOT NULL"), "20");
    let kept = bench.db.chunk_read(kept, ByteCount::ZERO).await.unwrap();
    assert_eq!(kept.unwrap().data, "a");
}

#[tokio::test]
async fn the_oldest_stored_file_of_the_same_content_is_found_and_only_where_it_may_be() {
    let bench = bench().await;
    let (oldest, second, third) = (
        bench.stored_file().await,
        bench.stored_file().await,
        bench.stored_file().await,
    );
    let unfinished = bench.upload_of(1).await;
    let twin_of = async |id, owner| bench.db.upload_twin(id, owner).await.unwrap();
    let id_of = |twin: Option<Twin>| twin.map(|twin| twin.id);

    assert_eq!(id_of(twin_of(third, Some(bench.owner)).await), Some(oldest));
    assert_eq!(id_of(twin_of(oldest, None).await), Some(second));
    assert_eq!(id_of(twin_of(third, Some(AccountId::new())).await), None);
    assert_eq!(id_of(twin_of(unfinished, None).await), None);

    bench.db.upload_remove(oldest, None).await.unwrap();
    assert_eq!(id_of(twin_of(third, None).await), Some(second));
}
