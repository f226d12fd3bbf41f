//! What it means to take a file in: announce, append, look, remove, read.
//!
//! It never holds a database connection while bytes are on their way.

mod append;
mod content;
mod create;
mod gather;
mod look;

pub use append::AppendError;
pub use content::ContentError;
pub use create::{CreateError, NewFile};
pub use gather::chunk_bytes;
pub use look::{Offset, Page, ReadError};
