//! What it means to take a file in: announce, append, look, remove, read.
//!
//! It never holds a database connection while bytes are on their way.

mod append;
mod behind;
mod concat;
mod content;
mod continuation;
mod create;
mod digests;
mod gather;
mod hold;
mod holders;
mod look;
mod room;
mod standing;
mod until;
mod writer;

pub use append::AppendError;
pub use content::ContentError;
pub use continuation::{Continuation, Ending, Landed};
pub use create::{CreateError, NewFile};
pub use gather::chunk_bytes;
pub(crate) use holders::Holders;
pub use look::{Listed, Offset, Page, ReadError};
pub(crate) use room::Capacity;
pub use room::NoRoom;
pub use until::{Cut, until};
