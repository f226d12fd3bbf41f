//! Where am I, and what may I touch: settings, environment, guard.
//!
//! Everything that the outside world tells a process before it starts comes in
//! through here, is checked once, and leaves as a plain value.
//!
//! Invariants:
//! - The environment is read in one place, [`Environ::of_process`], and once.
//! - No database is dialled: whether one may be is decided from variables, files, the
//!   machine, and what the resolver says of a host.
//! - [`ApprovedDatabase`] is made by [`approve`] alone, and a [`Permit`] by its
//!   [`ApprovedDatabase::permit`].
//! - Verdicts are pure functions of a few facts (`guard/before.rs`, `guard/after.rs`).
//! - `unsafe` is in one room, `address/libpq.rs`, where libpq reads an address.
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
mod machine;
mod platform;
mod reasoning;
mod s3;
mod secrets;
mod settings;

#[cfg(feature = "testing")]
pub use address::Live;
pub use address::{DatabaseAddress, InvalidAddress, Reach, TlsMode, Unresolved};
pub use environ::{Environ, NotUnicode};
pub use environment::{Environment, UnknownEnvironment};
pub use explain::{Explanation, Setting, Shown};
pub use guard::{
    Access, Admission, Adoption, ApprovedDatabase, DialError, Duty, Found, Identity, Permit,
    Refusal, Ruling, STAMP_VERSION, Stamp, StampSeen, approve, environment, marker,
};
pub use layers::Origin;
pub use platform::{Evidence, Host, Platform, Sighting, Task};
pub use reasoning::Reasoning;
pub use s3::S3Settings;
pub use settings::{
    DatabaseSettings, Fault, Faults, HashTime, JobSettings, LogFormat, LogSettings, Router,
    ServerSettings, SessionSettings, Settings, UploadSettings,
};
