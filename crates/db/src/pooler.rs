//! Whether something between this process and its database lends out sessions.
//!
//! In transaction mode a pooler gives every transaction whichever server connection is
//! free (PgBouncer manual, "pool_mode"): an advisory lock, a setting or a LISTEN stays
//! behind with somebody else. It never holds anything while it asks, because a pool of
//! one connection would wait for itself.

use diesel::connection::{CacheSize, Connection, SimpleConnection};
use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Integer, Nullable, Text};
use slipway_config::ApprovedDatabase;
use uuid::Uuid;

use crate::connect::{ConnectError, connect_to_look};

/// What to say where sessions must be one's own.
pub(crate) const POOLED: &str = "the address leads to a pooler in transaction mode, which loses locks and \
     notifications; use the direct address of the database (on Heroku DATABASE_URL, not \
     DATABASE_CONNECTION_POOL_URL), or session mode";

/// How often the session is asked whether it is still the same: a pooler that takes
/// turns among its connections shows another one soon.
const ASKED: u32 = 4;

/// Whether the session of `connection` is also lent to others. Then it is left without
/// named statements, which others could have made under the same names.
pub(crate) fn shares_sessions(
    connection: &mut PgConnection,
    approved: &ApprovedDatabase,
) -> Result<bool, ConnectError> {
    connection.set_prepared_statement_cache_size(CacheSize::Disabled);
    let shares = is_lent_out(connection, approved)?;
    if !shares {
        connection.set_prepared_statement_cache_size(CacheSize::Unbounded);
    }
    Ok(shares)
}

fn is_lent_out(
    connection: &mut PgConnection,
    approved: &ApprovedDatabase,
) -> Result<bool, ConnectError> {
    let token = Uuid::new_v4().simple().to_string();
    connection
        .batch_execute(&format!("SET slipway.session = '{token}'"))
        .map_err(ConnectError::Unseen)?;
    let (mut other, _) = connect_to_look(approved)?;
    let theirs = session(&mut other).map_err(ConnectError::Unseen)?;
    if theirs.token.as_deref() == Some(token.as_str()) {
        return Ok(true);
    }
    let first = session(connection).map_err(ConnectError::Unseen)?;
    for _ in 0..ASKED {
        let again = session(connection).map_err(ConnectError::Unseen)?;
        if again.pid != first.pid || again.token.as_deref() != Some(token.as_str()) {
            return Ok(true);
        }
    }
    Ok(first.token.as_deref() != Some(token.as_str()))
}

#[derive(QueryableByName)]
struct Session {
    #[diesel(sql_type = Integer)]
    pid: i32,
    #[diesel(sql_type = Nullable<Text>)]
    token: Option<String>,
}

fn session(connection: &mut PgConnection) -> QueryResult<Session> {
    diesel::sql_query(
        "SELECT pg_backend_pid() AS pid, current_setting('slipway.session', true) AS token",
    )
    .get_result(connection)
}
