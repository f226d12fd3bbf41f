//! Progress is the row; notifications are hints about it.

use diesel::connection::SimpleConnection;

use super::*;
use crate::connect::connect;
use crate::listen::hears_itself;

#[tokio::test]
async fn progress_is_the_row_and_its_position_rises_with_every_change() {
    let bench = bench().await;
    let id = bench.upload_of(6).await;
    let topics = vec![
        Topic::Upload(id),
        Topic::Account(bench.owner),
        Topic::Upload(UploadId::new()),
    ];
    let before = bench.db.progress_read(topics.clone()).await.unwrap();
    let claim = bench.claim(id, 0).await;
    bench
        .db
        .upload_advance(claim.clone(), step(&claim, b"abc", false))
        .await
        .unwrap();

    let after = bench.db.progress_read(topics).await.unwrap();

    let (TopicState::At(was, _), TopicState::At(is, Progress::Upload(progress))) =
        (&before[0].1, &after[0].1)
    else {
        panic!("{after:?}")
    };
    assert_eq!(
        (was.epoch.clone(), true),
        (is.epoch.clone(), was.seq < is.seq)
    );
    assert_eq!((progress.stored.to_u64(), progress.rate), (3, Some(1000)));
    let (TopicState::At(listed, _), TopicState::At(still, _)) = (&before[1].1, &after[1].1) else {
        panic!("{after:?}")
    };
    assert_eq!(listed, still, "bytes do not change the list");
    assert_eq!(after[2].1, TopicState::Gone);
}

#[tokio::test]
async fn a_notification_reaches_another_process_and_carries_its_payload() {
    let bench = bench().await;
    let mut listener = Listener::start(bench.database.approved()).unwrap();
    listener.set_watched(true);
    assert_eq!(listener.next().await, Some(Heard::Listening));

    bench
        .db
        .progress_notify(vec!["one".to_owned(), "two".to_owned()])
        .await
        .unwrap();

    assert_eq!(
        listener.next().await,
        Some(Heard::Payload("one".to_owned()))
    );
    assert_eq!(
        listener.next().await,
        Some(Heard::Payload("two".to_owned()))
    );
}

#[tokio::test]
async fn a_connection_that_notifications_do_not_reach_is_found_out() {
    let bench = bench().await;
    let mut connection = connect(bench.database.approved()).unwrap().connection;
    assert!(hears_itself(&mut connection, Duration::from_secs(30)).unwrap());

    // In a transaction nothing is delivered, as by whatever keeps sessions to itself.
    connection.batch_execute("BEGIN").unwrap();

    assert!(!hears_itself(&mut connection, Duration::from_millis(100)).unwrap());
}

#[tokio::test]
async fn a_lost_listening_connection_is_made_again() {
    let bench = bench().await;
    let mut listener = Listener::start(bench.database.approved()).unwrap();
    assert_eq!(listener.next().await, Some(Heard::Listening));

    bench
        .database
        .query(
            "SELECT pg_terminate_backend(pid)::text AS value FROM pg_stat_activity \
             WHERE datname = current_database() AND query = 'LISTEN slipway_progress'",
        )
        .unwrap();

    assert_eq!(listener.next().await, Some(Heard::Lost));
    assert_eq!(listener.next().await, Some(Heard::Listening));
}

#[tokio::test]
async fn the_doorbell_rings_after_a_change_and_not_without_one() {
    let bench = bench().await;
    let id = bench.upload_of(3).await;
    bench.db.doorbell().changed().await;
    let old = bench.claim(id, 0).await;
    let new = bench.claim(id, 0).await;
    bench
        .db
        .upload_advance(old.clone(), step(&old, b"abc", false))
        .await
        .unwrap();

    bench
        .db
        .upload_advance(new.clone(), step(&new, b"ab", false))
        .await
        .unwrap();

    let Changes::Of { topics, .. } = bench.db.doorbell().changed().await else {
        panic!("overflow")
    };
    assert_eq!(topics.into_iter().collect::<Vec<_>>(), [Topic::Upload(id)]);
}
