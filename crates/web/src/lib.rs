//! Slipway over HTTP: routes, sessions, pages, assets.
//!
//! A handler turns text into types, calls one use case and turns its answer into
//! a response. The table of all routes is in `app.rs`.
//!
//! Invariants:
//! - No SQL and no rule: what may be done is decided in ingest.
//! - Status codes for refusals are chosen in `error.rs` and nowhere else.
//! - No request waits for work: whatever takes longer is a job.
//! - Nothing a client sends is echoed into a header or a page unescaped.

mod account_pages;
#[cfg(test)]
mod any;
mod app;
mod assets;
mod caller;
mod client;
mod conditions;
mod cookie;
mod cors;
mod disposition;
mod download;
mod error;
mod ietf;
mod keys;
mod kinds;
mod limits;
mod openapi;
mod pages;
mod posted;
mod ranges;
mod routes;
mod same_origin;
mod server;
mod trace;
mod tus;
mod wire;

pub use app::routes;
pub use server::{Server, serve};
