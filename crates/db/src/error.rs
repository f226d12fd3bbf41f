//! What can go wrong with the database, as far as anybody acts on it.
//!
//! It never carries an outcome: "not found" and "not moved" are values.

use std::str::FromStr;

use diesel::QueryResult;
use diesel::result::Error;

/// Why a database call gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum DbError {
    /// Too many wait already, or no connection came free in time: try later.
    #[error("the database is busy ({doing})")]
    Busy {
        /// What was being done.
        doing: &'static str,
    },
    /// The statement failed, or a row holds what no release has written.
    #[error("the database failed while {doing}")]
    Failed {
        /// What was being done.
        doing: &'static str,
        /// What the database said.
        #[source]
        source: Error,
    },
    /// The call ended without an answer, because its code panicked.
    #[error("a database call was lost while {doing}")]
    Lost {
        /// What was being done.
        doing: &'static str,
    },
    /// The process is going down.
    #[error("the database pool is closed ({doing})")]
    Stopping {
        /// What was being done.
        doing: &'static str,
    },
}

/// Reads one of our words from a column; anything else is a broken row.
pub(crate) fn word<T>(text: &str) -> QueryResult<T>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    text.parse().map_err(broken)
}

/// The error of a row that cannot be understood.
pub(crate) fn broken(error: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::DeserializationError(Box::new(error))
}
