//! Private Postgres servers for development and tests: real ones, started by us, for us.
//!
//! A private server listens on a Unix socket in a folder only its user can enter; those
//! of tests may have a door besides, with a password (`door.rs`). Everything that can destroy data works on such a server alone: no
//! address of a database is ever taken from outside.

mod account;
mod binaries;
mod cluster;
mod door;
mod folders;
mod packages;
mod pidfile;
mod pins;
mod server;
mod wire;

pub(crate) use binaries::{Binaries, NoPackage, Pick, find};
pub(crate) use cluster::{Claim, Cluster};
pub(crate) use door::Door;
pub(crate) use pidfile::look;
pub(crate) use pins::PACKAGED_VERSION;
pub(crate) use server::Durability;
