//! Making a database one's own, on purpose: a restored copy, a moved one, one that was
//! never stamped.
//!
//! Whatever gave others a way in does not survive it.

use diesel::prelude::*;
use diesel::result::Error;
use slipway_config::{ApprovedDatabase, Found};
use slipway_core::EventKind;

use super::{look_in_txn, write_in_txn};
use crate::connect::{ConnectError, connect};
use crate::security_events::record_in_txn;
use crate::{NewEvent, migrate};

/// What an adoption has taken out, and what it left: numbers of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Scrubbed {
    /// Browsers that were signed in.
    pub sessions: usize,
    /// Links that would have signed somebody in.
    pub links: usize,
    /// Tokens of scripts.
    pub tokens: usize,
    /// Jobs that were waiting or running, now cancelled: they were somebody else's.
    pub jobs: usize,
}

/// Why a database was not adopted; nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum AdoptError {
    /// There is no connection for it.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// It is not what was agreed to.
    #[error("the database has changed since it was looked at; look again")]
    Changed,
    /// A migration is running.
    #[error("a migration is running on it; try again when it is done")]
    Migrating,
    /// A statement failed.
    #[error("the database could not be adopted")]
    Failed(#[from] Error),
    /// The migration that makes the place for a stamp failed.
    #[error("the place for the stamp could not be made: {0}")]
    NoPlace(String),
}

/// Adopts the database that was `agreed` to, in one transaction: takes out what gave
/// others a way in, and stamps it as what it was approved for.
///
/// # Errors
/// As the variants of [`AdoptError`] say.
pub fn adopt(approved: &ApprovedDatabase, agreed: &Found) -> Result<Scrubbed, AdoptError> {
    let mut connection = connect(approved)?.connection;
    connection.transaction(|connection| {
        if !migrate::try_lock_in_txn(connection)? {
            return Err(AdoptError::Migrating);
        }
        if look_in_txn(connection)? != *agreed {
            return Err(AdoptError::Changed);
        }
        if !super::has_place(connection)? {
            migrate::make_place_for_stamp(connection).map_err(AdoptError::NoPlace)?;
        }
        let scrubbed = scrub(connection)?;
        if migrate::table_exists(connection, "security_events")? {
            record_in_txn(connection, adoption(&scrubbed))?;
        }
        write_in_txn(connection, approved, "adopted")?;
        Ok(scrubbed)
    })
}

fn adoption(scrubbed: &Scrubbed) -> NewEvent {
    let Scrubbed {
        sessions,
        links,
        tokens,
        ..
    } = scrubbed;
    NewEvent {
        kind: EventKind::DatabaseAdopted,
        actor: Some("the command line".to_owned()),
        subject: None,
        network: None,
        detail: Some(format!(
            "{sessions} sessions, {links} links and {tokens} tokens deleted"
        )),
    }
}

fn scrub(connection: &mut PgConnection) -> QueryResult<Scrubbed> {
    let mut emptied = |table: &str| -> QueryResult<usize> {
        match migrate::table_exists(connection, table)? {
            true => diesel::sql_query(format!("DELETE FROM {table}")).execute(connection),
            false => Ok(0),
        }
    };
    let (sessions, links, tokens) = (
        emptied("sessions")?,
        emptied("sign_in_links")?,
        emptied("api_tokens")?,
    );
    Ok(Scrubbed {
        sessions,
        links,
        tokens,
        jobs: cancel_jobs(connection)?,
    })
}

fn cancel_jobs(connection: &mut PgConnection) -> QueryResult<usize> {
    if !migrate::table_exists(connection, "jobs")? {
        return Ok(0);
    }
    diesel::sql_query(
        "UPDATE jobs SET state = 'cancelled', finished_at = now(), lease_until = NULL, seq = seq + 1, \
             message = 'the database was adopted' \
         WHERE state IN ('queued', 'running')",
    )
    .execute(connection)
}
