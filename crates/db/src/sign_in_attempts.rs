//! Attempts to sign in by password, counted for each address and each network.
//!
//! It never says how many are too many; whoever asks brings the limit. An attempt is
//! counted before its password is looked at, so that many at once cannot all pass.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{Integer, Text, Timestamptz};
use slipway_core::Network;
use time::OffsetDateTime;

use crate::schema::sign_in_attempts;
use crate::security_events::record_in_txn;
use crate::{Db, DbError, NewEvent};

/// How many attempts are looked at within a while.
#[derive(Debug, Clone, Copy)]
pub struct AttemptLimits {
    /// On one address.
    pub account_max: i32,
    /// From one network.
    pub network_max: i32,
    /// How long the while is.
    pub within: Duration,
}

/// What is to be counted.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The address that was typed, in lower case, known or not.
    pub email: String,
    /// Where it came from.
    pub network: Network,
}

#[derive(QueryableByName)]
struct Counted {
    #[diesel(sql_type = Integer)]
    attempts: i32,
    #[diesel(sql_type = Timestamptz)]
    ends_at: OffsetDateTime,
}

impl Attempt {
    fn subjects(&self) -> [String; 2] {
        let email: String = self.email.chars().take(254).collect();
        // Always in this order, so that two attempts never wait for each other.
        [
            format!("account {email}"),
            format!("network {}", self.network),
        ]
    }
}

impl Db {
    /// Counts an attempt. `None` if it may go on; else the time at which the while
    /// ends. The first one too many is recorded as `event`, the others are not.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_attempt_count(
        &self,
        attempt: Attempt,
        limits: AttemptLimits,
        event: NewEvent,
    ) -> Result<Option<OffsetDateTime>, DbError> {
        self.run("counting an attempt to sign in", move |connection| {
            let ends_at = OffsetDateTime::now_utc() + limits.within;
            let maxima = [limits.account_max, limits.network_max];
            let mut halted = None;
            for (subject, max) in attempt.subjects().into_iter().zip(maxima) {
                let counted = count_in_txn(connection, &subject, ends_at, max)?;
                if counted.attempts <= max {
                    continue;
                }
                halted = halted.max(Some(counted.ends_at));
                if counted.attempts == max + 1 {
                    record_in_txn(
                        connection,
                        NewEvent {
                            detail: Some(subject),
                            ..event.clone()
                        },
                    )?;
                }
            }
            Ok(halted)
        })
        .await
    }

    /// Takes an attempt that succeeded out of the count: the address begins anew, the
    /// network has one less.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_attempt_forgive(&self, attempt: Attempt) -> Result<(), DbError> {
        self.run("forgiving an attempt to sign in", move |connection| {
            let [account, network] = attempt.subjects();
            diesel::delete(sign_in_attempts::table.find(account)).execute(connection)?;
            diesel::update(
                sign_in_attempts::table
                    .find(network)
                    .filter(sign_in_attempts::attempts.gt(1)),
            )
            .set(sign_in_attempts::attempts.eq(sign_in_attempts::attempts - 1))
            .execute(connection)
            .map(drop)
        })
        .await
    }

    /// Forgets whiles that have ended; says how many.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn sign_in_attempt_sweep(&self) -> Result<usize, DbError> {
        self.run("sweeping attempts to sign in", |connection| {
            let now = OffsetDateTime::now_utc();
            diesel::delete(sign_in_attempts::table.filter(sign_in_attempts::ends_at.le(now)))
                .execute(connection)
        })
        .await
    }
}

/// One more, or the first of a new while; counting stops at the second too many, so
/// that the number tells the first one and never overflows.
fn count_in_txn(
    connection: &mut PgConnection,
    subject: &str,
    ends_at: OffsetDateTime,
    max: i32,
) -> QueryResult<Counted> {
    diesel::sql_query(
        "INSERT INTO sign_in_attempts AS old (subject, attempts, ends_at) VALUES ($1, 1, $2) \
         ON CONFLICT (subject) DO UPDATE SET \
             attempts = CASE WHEN old.ends_at <= now() THEN 1 ELSE least(old.attempts + 1, $3 + 2) END, \
             ends_at = CASE WHEN old.ends_at <= now() THEN excluded.ends_at ELSE old.ends_at END \
         RETURNING attempts, ends_at",
    )
    .bind::<Text, _>(subject)
    .bind::<Timestamptz, _>(ends_at)
    .bind::<Integer, _>(max)
    .get_result(connection)
}
