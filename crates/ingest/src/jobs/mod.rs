//! Work that outlives the request that caused it.
//!
//! A job of any kind runs through the same loop (`worker.rs`) and says how far
//! it is to the same reporter; it never claims, settles or retries itself.

mod ask;
mod assemble;
mod housekeeping;
mod inspect;
mod reporter;
mod text;
mod worker;

pub use ask::JobError;
pub use worker::{Stop, work};
