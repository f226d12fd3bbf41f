//! The promises of this crate, kept on a real server.

mod address;
mod jobs;
mod progress;
mod schema;
mod sessions;
mod uploads;

use std::time::Duration;

use bytes::Bytes;
use slipway_core::{
    AccountId, ByteCount, EventKind, JobState, Network, Progress, Role, Sha256Digest, StoreKind,
    Topic, UploadId, UploadState,
};

use crate::testing::TestDatabase;
use crate::{
    AccountChange, Advance, Advanced, Attempt, AttemptLimits, Bid, Changes, Chunk, Claim, Claimed,
    Created, Db, Heard, Job, JobChange, Listener, NewAccount, NewEvent, NewLink, NewSession,
    NewUpload, Quota, Reported, SessionLimits, Settlement, Taken, TopicState, Twin,
};

const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);
const LEASE: Duration = Duration::from_secs(30);
const WHOLE: Sha256Digest = Sha256Digest::from_bytes([7; 32]);

struct Bench {
    database: TestDatabase,
    db: Db,
    owner: AccountId,
}

const PLENTY: Quota = Quota {
    bytes_max: ByteCount::from_u32(u32::MAX),
    open_max: 1000,
};

/// What a change is recorded as, where a test has nothing to say about that.
fn event() -> NewEvent {
    NewEvent {
        kind: EventKind::AccountAdded,
        actor: None,
        subject: None,
        network: None,
        detail: None,
    }
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
    db.account_add(new, event()).await.unwrap().unwrap();
    Bench {
        database,
        db,
        owner,
    }
}

impl Bench {
    async fn upload_of(&self, bytes: u32) -> UploadId {
        match self.announce(bytes, PLENTY).await {
            Created::Yes(upload) => upload.id,
            Created::OverQuota(usage) => panic!("over quota: {usage:?}"),
        }
    }

    async fn announce(&self, bytes: u32, quota: Quota) -> Created {
        let new = NewUpload {
            id: UploadId::new(),
            owner: self.owner,
            name: "file.bin".to_owned(),
            media_type: None,
            metadata: String::new(),
            store: StoreKind::Postgres,
            total: Some(ByteCount::from_u32(bytes)),
            explicit_end: false,
            concat: None,
            expected: None,
            part_bytes: None,
            expires_after: WEEK,
            whole: None,
            quota,
        };
        self.db.upload_create(new).await.unwrap()
    }

    async fn claim(&self, id: UploadId, from: u32) -> Claim {
        match self.db.upload_claim(id, bid(from), WEEK).await.unwrap() {
            Claimed::Yes(claim, _) => {
                self.db.chunk_discard_ahead(&claim).await.unwrap();
                claim
            }
            other => panic!("not claimed: {other:?}"),
        }
    }

    /// Stores the next bytes of a claim that must still hold.
    async fn advance(&self, claim: Claim, data: &[u8], whole: bool) -> Claim {
        match self
            .db
            .upload_advance(claim.clone(), step(&claim, data, whole))
            .await
            .unwrap()
        {
            Advanced::Yes(claim) => claim,
            Advanced::Superseded => panic!("superseded"),
        }
    }

    /// Writes bytes beyond the stored ones; whether the claim still held.
    async fn write_ahead(&self, claim: &Claim, at: u32, data: &'static [u8]) -> bool {
        let chunk = Chunk {
            start: ByteCount::from_u32(at),
            data: Bytes::from_static(data),
        };
        self.db.chunk_write_ahead(claim, chunk).await.unwrap()
    }

    /// A file that is whole, and whose inspection waits.
    async fn stored_file(&self) -> UploadId {
        let id = self.upload_of(1).await;
        let claim = self.claim(id, 0).await;
        self.advance(claim, b"a", true).await;
        id
    }

    /// As if nobody had asked for this upload for a year.
    fn make_old(&self, id: UploadId) {
        let year = "now() - interval '1 year'";
        self.database
            .execute(&format!(
                "UPDATE uploads SET created_at = {year}, expires_at = {year} WHERE id = '{id}'"
            ))
            .unwrap();
    }

    async fn jobs_of(&self, id: UploadId) -> Vec<Job> {
        self.db.upload_get_with_jobs(id).await.unwrap().unwrap().1
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

fn bid(from: u32) -> Bid {
    Bid {
        from: ByteCount::from_u32(from),
        total: None,
    }
}

/// The next bytes, kept in the database.
fn step(claim: &Claim, data: &[u8], whole: bool) -> Advance {
    let start = claim.stored();
    Advance {
        to: start.checked_add(data.len() as u64).unwrap(),
        chunk: Some(Chunk {
            start,
            data: Bytes::copy_from_slice(data),
        }),
        hash_state: Some(vec![1, 2, 3]),
        rate: Some(1000),
        whole: whole.then_some(WHOLE),
        verify: false,
    }
}
