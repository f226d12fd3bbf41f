//! Where am I, and what may I touch: settings, environment, guard.
//!
//! Everything that the outside world tells a process before it starts comes in
//! through here, is checked once, and leaves as a plain value.
//!
//! Invariants:
//! - The environment is read in one place, [`Environ::of_process`], and once.
//! - No packet is sent: whether a database may be dialled is decided from text.
//! - [`ApprovedDatabase`] is made by [`approve`] alone.
//! - Secrets are [`secrecy::SecretString`] from the first moment and never pass
//!   through the `config` crate, whose errors show values.
//! - No error and no explanation holds a secret, nor a value that is not as it must
//!   be: that could be a secret in the wrong place.

mod address;
mod environ;
mod environment;
mod explain;
mod guard;
mod known;
mod layers;
mod reasoning;
mod secrets;
mod settings;

pub use address::{DatabaseAddress, InvalidAddress};
pub use environ::{Environ, NotUnicode};
pub use environment::{Environment, Platform};
pub use explain::{Explanation, Setting, Shown};
pub use guard::{ApprovedDatabase, Refusal, approve};
pub use layers::Origin;
pub use reasoning::Reasoning;
pub use settings::{
    DatabaseSettings, Fault, Faults, JobSettings, LogFormat, LogSettings, ServerSettings,
    SessionSettings, Settings, UploadSettings,
};
