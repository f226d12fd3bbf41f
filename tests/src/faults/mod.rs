//! Fault campaigns: what an upload has to survive, again and again, and the numbers
//! that come of it. Short in the test suite, at full length in `cargo xtask soak`.
//!
//! They never judge by time; what was promised is compared with what is there.

mod drain;
mod ends;
mod flood;
mod kills;
mod sender;
mod two;

pub use drain::{Drain, Drained};
pub use ends::{Ended, Ends};
pub use flood::{Flood, Flooded};
pub use kills::{Killed, Kills};
pub use two::{Two, Weathered};
