//! What viewers of a hub are told.

use futures_util::FutureExt;
use slipway_core::{AccountId, UploadId, UploadProgress, UploadState};

use super::*;
use crate::samples::{at, list, upload};

fn known(hub: &Hub, topic: Topic) -> Option<(String, i64)> {
    match hub.latest(topic).as_deref() {
        Some(Latest::At(value)) => {
            Some((value.position.epoch.to_string(), value.position.seq.get()))
        }
        _ => None,
    }
}

#[tokio::test]
async fn what_nobody_follows_is_not_kept() {
    let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
    hub.publish(topic, at(0, 1), list(&[]));
    assert!(hub.latest(topic).is_none());

    hub.follow(topic, 1, Arc::default(), None);
    assert_eq!(hub.wanted().await, [topic]);
    hub.publish(topic, at(0, 1), list(&[]));
    assert!(known(&hub, topic).is_some());

    hub.unfollow(topic, 1);
    assert!(hub.latest(topic).is_none() && !hub.is_followed());
}

#[test]
fn a_topic_never_goes_backwards_within_an_epoch() {
    let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
    hub.follow(topic, 1, Arc::default(), None);

    for (epoch, seq) in [(0, 5), (0, 4), (0, 5)] {
        hub.publish(topic, at(epoch, seq), list(&[]));
        assert_eq!(known(&hub, topic), Some(("t.0".to_owned(), 5)));
    }

    hub.publish(topic, at(1, 1), list(&[]));
    assert_eq!(known(&hub, topic), Some(("t.1".to_owned(), 1)));
}

#[tokio::test]
async fn a_viewer_who_has_seen_more_makes_it_be_read_again() {
    let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
    hub.follow(topic, 1, Arc::default(), None);
    assert_eq!(hub.wanted().await, [topic]);
    hub.publish(topic, at(0, 5), list(&[]));

    let ahead: Since = "t.0:8".parse().unwrap();
    hub.follow(topic, 2, Arc::default(), Some(&ahead));

    assert_eq!(hub.wanted().await, [topic]);
    assert!(hub.latest(topic).is_none(), "what is behind is not told");
    hub.publish(topic, at(0, 8), list(&[]));
    assert_eq!(known(&hub, topic), Some(("t.0".to_owned(), 8)));
}

#[tokio::test]
async fn every_viewer_is_woken() {
    let (hub, topic) = (Hub::default(), Topic::Account(AccountId::new()));
    let wakes: [Arc<Notify>; 2] = Default::default();
    for (viewer, wake) in (1..).zip(&wakes) {
        hub.follow(topic, viewer, Arc::clone(wake), None);
    }

    hub.publish(topic, at(0, 1), list(&[]));

    for wake in &wakes {
        tokio::time::timeout(Duration::from_secs(5), wake.notified())
            .await
            .unwrap();
    }
}

/// How often the one viewer of a topic was told while it was published every 10 ms.
async fn told(hub: &Hub, topic: Topic, publish: impl Fn(i64) -> Progress) -> usize {
    let wake = Arc::new(Notify::new());
    hub.follow(topic, 1, Arc::clone(&wake), None);
    let mut told = 0;
    for seq in 1..=200 {
        hub.publish(topic, at(0, seq), publish(seq));
        let due = tokio::time::sleep(Duration::from_millis(10));
        tokio::pin!(due);
        loop {
            tokio::select! {
                biased;
                () = wake.notified() => told += 1,
                () = &mut due => break,
            }
        }
    }
    told
}

#[tokio::test(start_paused = true)]
async fn what_only_goes_on_is_told_four_times_a_second_and_its_end_at_once() {
    let (hub, topic) = (Hub::default(), Topic::Upload(UploadId::new()));
    let pacing = hub.clone();
    tokio::spawn(async move { pacing.pace().await });

    let told = told(&hub, topic, |seq| {
        Progress::Upload(UploadProgress {
            rate: u64::try_from(seq).ok(),
            ..upload()
        })
    });
    assert_eq!(told.await, 8, "in two seconds");

    let wake = Arc::new(Notify::new());
    hub.follow(topic, 2, Arc::clone(&wake), None);
    let stored = UploadProgress {
        state: UploadState::Stored,
        ..upload()
    };
    hub.publish(topic, at(0, 201), Progress::Upload(stored));
    assert!(wake.notified().now_or_never().is_some(), "at once");
}

#[tokio::test(start_paused = true)]
async fn every_turn_is_told_at_once() {
    let (hub, topic) = (Hub::default(), Topic::Upload(UploadId::new()));

    let told = told(&hub, topic, |seq| {
        Progress::Upload(UploadProgress {
            message: Some(seq.to_string()),
            ..upload()
        })
    });

    assert_eq!(told.await, 200);
}
