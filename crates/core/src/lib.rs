//! The words of Slipway: ids, byte counts, states, legal moves, progress.
//!
//! Every other crate speaks these words; none of them means anything about a
//! database, a socket or a file format.
//!
//! Invariants:
//! - No input or output, no clock, no randomness beyond making a new id.
//! - A value that exists is valid: constructors check, arithmetic is checked.
//! - Nothing here is serialisable; whoever owns a wire owns its spelling.

mod account;
mod bytes;
mod ids;
mod job;
mod name;
mod network;
mod progress;
mod upload;
mod words;

pub use account::{Action, EventKind, Role, Scope};
pub use bytes::{ByteCount, InvalidByteCount, InvalidSha256, Sha256Digest};
pub use ids::{AccountId, InvalidId, JobId, ProcessId, RequestId, UploadId};
pub use job::{JobKind, JobState};
pub use name::FileName;
pub use network::Network;
pub use progress::{
    AccountProgress, Epoch, InvalidTopic, JobProgress, JobSummary, Position, Progress, Seq, Topic,
    UploadProgress, UploadSummary, milliseconds_left,
};
pub use upload::{StoreKind, UploadState};
pub use words::UnknownWord;
