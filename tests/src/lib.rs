//! What whole-system tests have in common: a real server process on a database of
//! its own, and clients that speak to it as anybody would.
//!
//! Invariants:
//! - Nothing of the server runs in the test's own process.
//! - A server that a test started ends with it, however the test ends.
//! - No port is fixed and no database is shared.

mod chance;
mod dyno;
mod events;
pub mod faults;
mod live;
mod proxy;
mod schema;
mod server;
mod storage;
mod terminal;
mod tunnel;
mod tus;

pub use chance::Chance;
pub use dyno::{has_namespaces, on_dyno};
pub use events::Events;
pub use live::Viewer;
pub use proxy::{Proxy, Weather};
pub use schema::Description;
pub use server::{SESSION_SECRET, Site, Who, ask_to_go, listening_port, output_of, spawn};
pub use storage::{Bucket, Storage, stores};
pub use terminal::interactively;
pub use tunnel::Tunnel;
pub use tus::{CHUNK_TYPE, Tus, pieces, random_bytes, sha256};
