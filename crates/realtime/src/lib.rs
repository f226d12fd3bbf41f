//! Progress to browsers on this process.
//!
//! The hub holds the latest value of every topic that somebody here follows; a
//! socket sends its viewer whatever is newer than what it sent last. Who feeds
//! the hub, and from where, is not known here.
//!
//! Invariants:
//! - No database, and no rule about who may see what: a socket asks its
//!   [`Gatekeeper`].
//! - No queue of updates anywhere: a slow viewer skips values, it never collects
//!   them. Of the turns of a topic the last few are kept, once for all viewers.
//! - A topic never goes backwards within an epoch.
//! - A frame is encoded once, however many viewers get it.
//! - The published description is generated from the types that are sent.

mod description;
mod events;
mod frame;
mod hub;
#[cfg(test)]
mod model;
mod outlet;
mod pace;
#[cfg(test)]
mod samples;
mod socket;
mod state;
mod subscriptions;
#[cfg(feature = "testing")]
pub mod testing;
mod viewers;
mod waits;
mod watch;
mod window;
mod wire;

pub use description::asyncapi;
pub use events::events;
pub use frame::Since;
pub use hub::Hub;
pub use socket::{Gatekeeper, SUBPROTOCOL, Standing, Upgraded, Verdict, serve};
pub use waits::{NoPlace, Place, Waits};
pub use watch::{News, Watch};
