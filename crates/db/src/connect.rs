//! The only way to a connection: dial, look, ask the guard, and only then hand it over.
//!
//! Until the guard has agreed, nothing but a read-only transaction that looks at the
//! stamp is sent.

use diesel::connection::CacheSize;
use diesel::pg::PgConnection;
use diesel::{Connection, ConnectionError};
use secrecy::ExposeSecret;
use slipway_config::{Admission, ApprovedDatabase, DialError, Found, Refusal, Unresolved};

use crate::stamp;

/// A connection that may be used for what was asked.
pub(crate) struct Connected {
    pub(crate) connection: PgConnection,
    pub(crate) admission: Admission,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The host has no address.
    #[error(transparent)]
    Unresolved(#[from] Unresolved),
    /// Nobody answers, or whoever does refuses the role.
    #[error("the database cannot be reached: {0}")]
    Unreachable(ConnectionError),
    /// It answers, and cannot be asked what it is.
    #[error("the database cannot be looked at: {0}")]
    Unseen(diesel::result::Error),
    /// The guard refuses it.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

impl From<DialError> for ConnectError {
    fn from(error: DialError) -> Self {
        match error {
            DialError::Unresolved(unresolved) => Self::Unresolved(unresolved),
            DialError::Refused(refusal) => Self::Refused(refusal),
        }
    }
}

/// A connection for what the database was approved for.
pub(crate) fn connect(approved: &ApprovedDatabase) -> Result<Connected, ConnectError> {
    let (mut connection, found) = connect_to_look(approved)?;
    let admission = approved.admit(&found)?;
    connection.set_prepared_statement_cache_size(CacheSize::Unbounded);
    Ok(Connected {
        connection,
        admission,
    })
}

/// What a database says of itself. Reads only, and is let at any that may be dialled.
///
/// # Errors
/// It cannot be reached or not be asked.
pub fn look(approved: &ApprovedDatabase) -> Result<Found, ConnectError> {
    connect_to_look(approved).map(|(_, found)| found)
}

/// What a database says of itself, and what that means for what was asked.
///
/// # Errors
/// It cannot be reached or not be asked, or the guard refuses it.
pub fn admission(approved: &ApprovedDatabase) -> Result<Admission, ConnectError> {
    connect(approved).map(|connected| connected.admission)
}

/// A connection for looking, and nothing else, which any database that may be dialled
/// allows.
pub(crate) fn connect_to_look(
    approved: &ApprovedDatabase,
) -> Result<(PgConnection, Found), ConnectError> {
    let string = approved.dial()?;
    let mut connection =
        PgConnection::establish(string.expose_secret()).map_err(ConnectError::Unreachable)?;
    // Behind a pooler a named statement may be somebody else's; see `pooler.rs`.
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    let found = stamp::look(&mut connection).map_err(ConnectError::Unseen)?;
    Ok((connection, found))
}
