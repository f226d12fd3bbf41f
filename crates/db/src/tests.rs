//! The promises of this crate, kept on a real server.

use std::time::Duration;

use slipway_core::{
    AccountId, ByteCount, JobState, Progress, Role, Sha256Digest, Topic, UploadId, UploadState,
};

use crate::testing::TestDatabase;
use crate::{
    Advance, Advanced, Changes, Claim, Claimed, Db, Heard, JobChange, Listener, NewAccount,
    NewUpload, Reported, SessionLimits, Settlement, Taken, TopicState,
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const LEASE: Duration = Duration::from_secs(30);
const WHOLE: Sha256Digest = Sha256Digest::from_bytes([7; 32]);

struct Bench {
    database: TestDatabase,
    db: Db,
    owner: AccountId,
}

async fn bench() -> Bench {
    let database = TestDatabase::create().unwrap();
    let db = database.open().unwrap();
    let owner = AccountId::new();
    let new = NewAccount {
        id: owner,
        email: "owner@example.com".to_owned(),
        role: Role::Member,
        password_hash: None,
    };
    db.account_add(new).await.unwrap().unwrap();
    Bench {
        database,
        db,
        owner,
    }
}

impl Bench {
    async fn upload_of(&self, bytes: u32) -> UploadId {
        let id = UploadId::new();
        let new = NewUpload {
            id,
            owner: self.owner,
            name: "file.bin".to_owned(),
            media_type: None,
            metadata: String::new(),
            total: ByteCount::from_u32(bytes),
            expires_after: WEEK,
            whole: None,
        };
        self.db.upload_create(new).await.unwrap();
        id
    }

    async fn claim(&self, id: UploadId, from: u32) -> Claim {
        match self
            .db
            .upload_claim(id, ByteCount::from_u32(from), WEEK)
            .await
            .unwrap()
        {
            Claimed::Yes(claim, _) => claim,
            other => panic!("not claimed: {other:?}"),
        }
    }

    async fn stored(&self, id: UploadId) -> u64 {
        self.db
            .upload_get(id)
            .await
            .unwrap()
            .unwrap()
            .stored
            .to_u64()
    }
}

fn step(data: &[u8], whole: bool) -> Advance {
    Advance {
        data: data.to_vec(),
        hash_state: vec![1, 2, 3],
        rate: Some(1000),
        whole: whole.then_some(WHOLE),
    }
}

#[tokio::test]
async fn bytes_and_offset_move_together_and_the_last_ones_enqueue_the_inspection() {
    let bench = bench().await;
    let id = bench.upload_of(5).await;
    let claim = bench.claim(id, 0).await;

    let Advanced::Yes(claim) = bench
        .db
        .upload_advance(claim, step(b"abc", false))
        .await
        .unwrap()
    else {
        panic!("superseded")
    };
    let Advanced::Yes(claim) = bench
        .db
        .upload_advance(claim, step(b"de", true))
        .await
        .unwrap()
    else {
        panic!("superseded")
    };

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
    assert_eq!(bench.db.job_list_of(vec![id]).await.unwrap().len(), 1);
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
    let Advanced::Yes(claim) = bench
        .db
        .upload_advance(claim, step(b"abc", false))
        .await
        .unwrap()
    else {
        panic!("a wrong offset evicted a healthy writer")
    };

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
        let both = futures_join(
            bench.db.upload_claim(id, ByteCount::ZERO, WEEK),
            bench.db.upload_claim(id, ByteCount::ZERO, WEEK),
        )
        .await;
        let claims = [both.0.unwrap(), both.1.unwrap()].map(|claimed| match claimed {
            Claimed::Yes(claim, _) => claim,
            other => panic!("not claimed: {other:?}"),
        });
        let [first, second] = claims;

        let (first, second) = futures_join(
            bench.db.upload_advance(first, step(b"abc", true)),
            bench.db.upload_advance(second, step(b"abc", true)),
        )
        .await;

        let won = [first.unwrap(), second.unwrap()]
            .iter()
            .filter(|advanced| matches!(advanced, Advanced::Yes(_)))
            .count();
        assert_eq!(won, 1);
        assert_eq!(bench.db.job_list_of(vec![id]).await.unwrap().len(), 1);
    }
}

async fn futures_join<A, B>(a: impl Future<Output = A>, b: impl Future<Output = B>) -> (A, B) {
    tokio::join!(a, b)
}

#[tokio::test]
async fn a_removed_upload_is_superseded_swept_and_at_last_forgotten() {
    let bench = bench().await;
    let id = bench.upload_of(6).await;
    let claim = bench.claim(id, 0).await;
    let Advanced::Yes(claim) = bench
        .db
        .upload_advance(claim, step(b"abc", false))
        .await
        .unwrap()
    else {
        panic!("superseded")
    };

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

#[tokio::test]
async fn a_lost_lease_reports_and_settles_nothing() {
    let bench = bench().await;
    let id = bench.upload_of(1).await;
    let claim = bench.claim(id, 0).await;
    bench
        .db
        .upload_advance(claim, step(b"a", true))
        .await
        .unwrap();
    let first = bench.db.job_claim(LEASE).await.unwrap().unwrap();
    assert_eq!(
        bench.db.job_claim(LEASE).await.unwrap(),
        None,
        "it is leased"
    );
    let reported = Reported {
        step: "reading".to_owned(),
        done: 1,
        checkpoint: Some(serde_json::json!({"at": 1})),
        ..Reported::default()
    };
    assert_eq!(
        bench
            .db
            .job_report(first.lease, reported, LEASE)
            .await
            .unwrap(),
        Some(false)
    );
    bench
        .database
        .execute("UPDATE jobs SET lease_until = now() - interval '1 second'")
        .unwrap();

    let second = bench.db.job_claim(LEASE).await.unwrap().unwrap();

    assert_eq!(
        (second.lease.attempt(), second.checkpoint),
        (2, Some(serde_json::json!({"at": 1})))
    );
    assert_eq!(
        bench
            .db
            .job_report(first.lease, Reported::default(), LEASE)
            .await
            .unwrap(),
        None
    );
    assert!(
        !bench
            .db
            .job_settle(first.lease, Settlement::Cancelled)
            .await
            .unwrap()
    );
    let message = "all well".to_owned();
    let settlement = Settlement::Inspected {
        media_type: None,
        findings: serde_json::json!({}),
        message,
    };
    assert!(bench.db.job_settle(second.lease, settlement).await.unwrap());
    let (job, _) = bench.db.job_get(second.lease.job()).await.unwrap().unwrap();
    assert_eq!(
        (job.state, job.message.as_deref()),
        (JobState::Done, Some("all well"))
    );
}

#[tokio::test]
async fn a_job_that_breaks_is_tried_again_until_it_has_failed() {
    let bench = bench().await;
    let id = bench.upload_of(1).await;
    let claim = bench.claim(id, 0).await;
    bench
        .db
        .upload_advance(claim, step(b"a", true))
        .await
        .unwrap();
    let broke = || Settlement::Broke {
        message: "no luck".to_owned(),
        pause: Duration::ZERO,
    };
    let mut tries = 0;

    while let Some(leased) = bench.db.job_claim(LEASE).await.unwrap() {
        tries += 1;
        assert!(bench.db.job_settle(leased.lease, broke()).await.unwrap());
    }

    let job = bench.db.job_list_of(vec![id]).await.unwrap().remove(0);
    assert_eq!((tries, job.state), (5, JobState::Failed));
    let retried = bench.db.job_retry(job.id).await.unwrap();
    assert!(matches!(retried, JobChange::Accepted(job) if job.state == JobState::Queued));
    assert!(bench.db.job_claim(LEASE).await.unwrap().is_some());
}

#[tokio::test]
async fn a_running_job_hears_that_it_is_cancelled() {
    let bench = bench().await;
    let id = bench.upload_of(1).await;
    let claim = bench.claim(id, 0).await;
    bench
        .db
        .upload_advance(claim, step(b"a", true))
        .await
        .unwrap();
    let leased = bench.db.job_claim(LEASE).await.unwrap().unwrap();

    bench.db.job_cancel(leased.lease.job()).await.unwrap();

    let told = bench
        .db
        .job_report(leased.lease, Reported::default(), LEASE)
        .await
        .unwrap();
    assert_eq!(told, Some(true));
    assert!(
        bench
            .db
            .job_settle(leased.lease, Settlement::Cancelled)
            .await
            .unwrap()
    );
    let again = bench.db.job_cancel(leased.lease.job()).await.unwrap();
    assert!(matches!(again, JobChange::NotNow(_)));
}

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
        .upload_advance(claim, step(b"abc", false))
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
        .upload_advance(old, step(b"abc", false))
        .await
        .unwrap();

    bench
        .db
        .upload_advance(new, step(b"ab", false))
        .await
        .unwrap();

    let Changes::Of(topics) = bench.db.doorbell().changed().await else {
        panic!("overflow")
    };
    assert_eq!(topics.into_iter().collect::<Vec<_>>(), [Topic::Upload(id)]);
}

#[tokio::test]
async fn a_link_signs_in_once_and_a_session_ends() {
    let bench = bench().await;
    let limits = SessionLimits {
        idle: WEEK,
        absolute: WEEK,
    };
    let (link, token) = (
        Sha256Digest::from_bytes([1; 32]),
        Sha256Digest::from_bytes([2; 32]),
    );
    let email = || "owner@example.com".to_owned();
    assert!(
        bench
            .db
            .sign_in_link_add(link, email(), WEEK)
            .await
            .unwrap()
    );

    let account = bench.db.sign_in_link_use(link).await.unwrap().unwrap();
    assert_eq!(account.id, bench.owner);
    assert_eq!(bench.db.sign_in_link_use(link).await.unwrap(), None);

    bench
        .db
        .session_start(token, account.id, limits)
        .await
        .unwrap();
    assert!(
        bench
            .db
            .session_account(token, limits)
            .await
            .unwrap()
            .is_some()
    );
    assert!(bench.db.account_set_disabled(email(), true).await.unwrap());
    assert_eq!(bench.db.session_account(token, limits).await.unwrap(), None);
    assert!(
        !bench
            .db
            .sign_in_link_add(link, email(), WEEK)
            .await
            .unwrap(),
        "disabled"
    );
}

#[tokio::test]
async fn every_column_is_documented_and_every_reference_is_indexed_and_cascades() {
    let bench = bench().await;
    let undocumented = bench
        .database
        .query(
            "SELECT attrelid::regclass || '.' || attname AS value FROM pg_attribute \
             JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r' \
             WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped \
               AND relname <> '__diesel_schema_migrations' AND col_description(attrelid, attnum) IS NULL",
        )
        .unwrap();
    assert_eq!(undocumented, Vec::<String>::new());

    let careless = bench
        .database
        .query(
            "SELECT conrelid::regclass || ' ' || conname AS value FROM pg_constraint \
             WHERE contype = 'f' AND (confdeltype <> 'c' OR NOT EXISTS ( \
                 SELECT FROM pg_index WHERE indrelid = conrelid AND indkey[0] = conkey[1]))",
        )
        .unwrap();
    assert_eq!(careless, Vec::<String>::new());
}

#[tokio::test]
async fn the_schema_that_queries_are_checked_against_is_the_migrated_one() {
    let bench = bench().await;
    let source = include_str!("schema.rs");
    let ours: Vec<String> = source
        .split("diesel::table!")
        .skip(1)
        .flat_map(|table| {
            let name = table
                .split('(')
                .next()
                .unwrap()
                .trim_start_matches([' ', '{', '\n'])
                .trim();
            let name = name.to_owned();
            table
                .lines()
                .filter_map(|line| line.split_once(" -> "))
                .filter(|(column, _)| !column.contains("joinable"))
                .map(move |(column, kind)| {
                    format!("{name}.{} {}", column.trim(), kind.trim_end_matches(','))
                })
                .collect::<Vec<_>>()
        })
        .collect();
    let mut ours: Vec<&str> = ours
        .iter()
        .map(String::as_str)
        .filter(|line| !line.contains("accounts ("))
        .collect();
    ours.sort_unstable();

    let mut theirs = bench
        .database
        .query(
            "SELECT attrelid::regclass || '.' || attname || ' ' || \
                 CASE WHEN attnotnull THEN kind ELSE 'Nullable<' || kind || '>' END AS value \
             FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid AND relkind = 'r', \
             LATERAL (SELECT CASE format_type(atttypid, NULL) \
                 WHEN 'uuid' THEN 'Uuid' WHEN 'text' THEN 'Text' WHEN 'bigint' THEN 'BigInt' \
                 WHEN 'integer' THEN 'Integer' WHEN 'boolean' THEN 'Bool' WHEN 'bytea' THEN 'Binary' \
                 WHEN 'jsonb' THEN 'Jsonb' WHEN 'text[]' THEN 'Array<Text>' \
                 WHEN 'timestamp with time zone' THEN 'Timestamptz' ELSE 'unknown' END AS kind) kinds \
             WHERE relnamespace = 'public'::regnamespace AND attnum > 0 AND NOT attisdropped \
               AND relname <> '__diesel_schema_migrations'",
        )
        .unwrap();
    theirs.sort_unstable();
    assert_eq!(ours, theirs);
}
