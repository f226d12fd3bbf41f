//! What tests of several modules are made of.

use slipway_core::{
    AccountProgress, ByteCount, Epoch, Position, Progress, Seq, UploadProgress, UploadState,
    UploadSummary,
};

pub(crate) fn at(attempt: i32, seq: i64) -> Position {
    Position {
        epoch: Epoch::new("t", attempt),
        seq: Seq::new(seq).unwrap(),
    }
}

pub(crate) fn list(uploads: &[UploadSummary]) -> Progress {
    Progress::Account(AccountProgress {
        uploads: uploads.to_vec(),
        jobs: vec![],
    })
}

pub(crate) fn upload() -> UploadProgress {
    UploadProgress {
        name: "a \"b\".bin".to_owned(),
        state: UploadState::Receiving,
        stored: ByteCount::from_u32(25),
        total: Some(ByteCount::from_u32(100)),
        rate: Some(10),
        media_type: None,
        sha256: None,
        message: None,
        jobs: vec![],
    }
}
