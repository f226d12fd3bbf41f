//! What an operator wants to know of a database before trusting it.
//!
//! It only reads, and is let at any database that may be looked at.

use diesel::pg::PgConnection;
use diesel::prelude::*;
use diesel::sql_types::{Bool, Integer, Nullable, Text};
use slipway_config::{ApprovedDatabase, Found};

use crate::budget::Limits;
use crate::connect::{ConnectError, connect_to_look};
use crate::migrate::{self, Migrations};
use crate::pooler::shares_sessions;

/// What was found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Examined {
    /// Stamp, identity and marker.
    pub found: Found,
    /// The version of the server, as it has it.
    pub server_version: String,
    /// How the connection is encrypted; `None` if it is not.
    pub encryption: Option<Encryption>,
    /// How many connections there may be.
    pub limits: Limits,
    /// Whether a pooler lends out sessions.
    pub is_pooled: bool,
    /// Whether nothing can be written: a replica, or maintenance.
    pub is_read_only: bool,
    /// What of this binary's migrations it has; `None` if it may not be compared,
    /// because the role may not read what tells.
    pub migrations: Option<Migrations>,
}

/// How a connection is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encryption {
    /// Such as `TLSv1.3`.
    pub version: String,
    /// Such as `TLS_AES_256_GCM_SHA384`.
    pub cipher: String,
}

#[derive(QueryableByName)]
struct Row {
    #[diesel(sql_type = Text)]
    server_version: String,
    #[diesel(sql_type = Nullable<Text>)]
    tls_version: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    tls_cipher: Option<String>,
    #[diesel(sql_type = Integer)]
    role_limit: i32,
    #[diesel(sql_type = Integer)]
    database_limit: i32,
    #[diesel(sql_type = Integer)]
    server_limit: i32,
    #[diesel(sql_type = Integer)]
    taken: i32,
    #[diesel(sql_type = Bool)]
    read_only: bool,
}

/// Looks at everything that tells whether Slipway can live there.
///
/// # Errors
/// It cannot be reached or not be asked.
pub fn examine(approved: &ApprovedDatabase) -> Result<Examined, ConnectError> {
    let (mut connection, found) = connect_to_look(approved)?;
    let row = look_around(&mut connection).map_err(ConnectError::Unseen)?;
    Ok(Examined {
        found,
        limits: row.limits(),
        server_version: row.server_version,
        encryption: row
            .tls_version
            .zip(row.tls_cipher)
            .map(|(version, cipher)| Encryption { version, cipher }),
        is_read_only: row.read_only,
        migrations: migrate::compare(&mut connection).ok(),
        is_pooled: shares_sessions(&mut connection, approved)?,
    })
}

/// How many connections there may be, and nothing else of it.
///
/// # Errors
/// It cannot be reached or not be asked.
pub fn limits(approved: &ApprovedDatabase) -> Result<Limits, ConnectError> {
    let (mut connection, _) = connect_to_look(approved)?;
    let row = look_around(&mut connection).map_err(ConnectError::Unseen)?;
    Ok(row.limits())
}

impl Row {
    fn limits(&self) -> Limits {
        // A limit that is negative is none.
        let limit = |limit: i32| u32::try_from(limit).ok();
        Limits {
            role: limit(self.role_limit),
            database: limit(self.database_limit),
            server: limit(self.server_limit).unwrap_or(0),
            taken: limit(self.taken).unwrap_or(0),
        }
    }
}

/// The connections that the server sets aside are for its superusers, and since
/// version 16 for a role of their own.
fn look_around(connection: &mut PgConnection) -> QueryResult<Row> {
    diesel::sql_query(
        "SELECT current_setting('server_version') AS server_version, \
             (SELECT version FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls_version, \
             (SELECT cipher FROM pg_stat_ssl WHERE pid = pg_backend_pid() AND ssl) AS tls_cipher, \
             (SELECT rolconnlimit FROM pg_roles WHERE rolname = current_user) AS role_limit, \
             (SELECT datconnlimit FROM pg_database WHERE datname = current_database()) AS database_limit, \
             current_setting('max_connections')::integer \
                 - current_setting('superuser_reserved_connections')::integer \
                 - coalesce(current_setting('reserved_connections', true), '0')::integer AS server_limit, \
             (SELECT count(*)::integer FROM pg_stat_activity WHERE usename = current_user) AS taken, \
             pg_is_in_recovery() OR current_setting('default_transaction_read_only')::boolean AS read_only",
    )
    .get_result(connection)
}
