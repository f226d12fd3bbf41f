//! What a database says of itself: its stamp, its identity, its second marker.

use std::fmt;
use std::net::IpAddr;

use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::Environment;

/// The form of the stamp that this release writes; of a newer one it believes nothing.
pub const STAMP_VERSION: i32 = 1;

/// Which database this is, among all that there are. A copy has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The cluster's own number (`pg_control_system()`), if it may be read.
    pub system: Option<i64>,
    /// The database's number in its cluster.
    pub oid: i64,
    /// Its name, for people: a database can be renamed.
    pub name: String,
}

/// What was written into a database when it was first migrated, or adopted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// What it is for.
    pub environment: Environment,
    /// The app it belongs to, if that had an id then.
    pub app_id: Option<Uuid>,
    /// Other apps that may use it.
    pub shared_with: Vec<Uuid>,
    /// Which database was stamped.
    pub identity: Identity,
    /// Whether the marker beside it could be written too.
    pub marked: bool,
    /// When.
    pub stamped_at: OffsetDateTime,
    /// By which release, on what.
    pub stamped_by: String,
}

/// What was found where the stamp should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StampSeen {
    /// Nothing at all is in the database.
    Empty,
    /// Something is, and no stamp.
    Unstamped,
    /// It cannot be read, or not be understood; why.
    Unreadable(String),
    /// A stamp.
    Is(Box<Stamp>),
}

/// All that the first, read-only look at a database tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The stamp.
    pub stamp: StampSeen,
    /// Which database it is in.
    pub here: Identity,
    /// The comment on the database: the second marker, which a dump leaves behind.
    pub marker: Option<String>,
    /// The address at which the server answers; `None` on a socket file.
    pub server: Option<IpAddr>,
}

/// Whether the stamp was made for the database that it is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kinship {
    Same,
    Differs,
    Unknown,
}

impl Stamp {
    /// The comment that goes with it: a copy that was dumped and restored has none.
    pub fn marker(&self) -> String {
        marker(self.environment, self.app_id, &self.identity)
    }

    pub(crate) fn kinship(&self, here: &Identity) -> Kinship {
        match (self.identity.system, here.system) {
            (Some(stamped), Some(found)) if stamped == found && self.identity.oid == here.oid => {
                Kinship::Same
            }
            (Some(_), Some(_)) => Kinship::Differs,
            // Another number within the cluster is another database in any cluster.
            _ if self.identity.oid != here.oid => Kinship::Differs,
            _ => Kinship::Unknown,
        }
    }
}

/// The comment that goes with a stamp.
pub fn marker(environment: Environment, app_id: Option<Uuid>, identity: &Identity) -> String {
    /// Bytes of the digest: enough to tell two databases apart at sight.
    const DIGEST_BYTES: usize = 6;
    let app = app_id.map_or_else(String::new, |id| id.to_string());
    let system = identity.system.unwrap_or_default();
    let digest = Sha256::digest(format!("{app}/{system}/{}", identity.oid));
    let digits: String = digest[..DIGEST_BYTES]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("slipway {environment} {digits}")
}

impl Found {
    /// Whether the marker beside the stamp agrees with it. One that could not be
    /// written is not missed; one that says something else is believed.
    pub(crate) fn marker_agrees(&self) -> bool {
        match (&self.stamp, &self.marker) {
            (StampSeen::Is(stamp), Some(found)) if found.starts_with("slipway ") => {
                *found == stamp.marker()
            }
            (StampSeen::Is(stamp), _) => !stamp.marked,
            (_, Some(found)) => !found.starts_with("slipway "),
            (_, None) => true,
        }
    }

    /// Whether the server answers from this machine itself.
    pub(crate) fn answers_here(&self) -> bool {
        self.server
            .is_none_or(|address| address.to_canonical().is_loopback())
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.system {
            Some(system) => write!(f, "{} ({} of system {system})", self.name, self.oid),
            None => write!(
                f,
                "{} ({} of a system that may not be asked)",
                self.name, self.oid
            ),
        }
    }
}
