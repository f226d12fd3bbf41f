//! The audit trail: what happened to accounts, sessions, tokens and uploads.
//!
//! An event is written in the transaction of what it tells, so that neither is there
//! without the other. It never holds a secret, and no event is changed.

use diesel::prelude::*;
use slipway_core::{EventKind, Network};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::error::word;
use crate::schema::security_events;
use crate::{Db, DbError};

/// Characters of an actor, a subject or a detail that are kept.
const CHARACTERS_MAX: usize = 300;

/// An event to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// What happened.
    pub kind: EventKind,
    /// Who did it, if somebody was proven to be anybody.
    pub actor: Option<String>,
    /// Whom or what it was done to.
    pub subject: Option<String>,
    /// Where it came from.
    pub network: Option<Network>,
    /// Anything else that tells.
    pub detail: Option<String>,
}

/// An event as an administrator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its place in the trail.
    pub id: Uuid,
    /// When it happened.
    pub at: OffsetDateTime,
    /// What happened.
    pub kind: EventKind,
    /// Who did it.
    pub actor: Option<String>,
    /// Whom or what it was done to.
    pub subject: Option<String>,
    /// Where it came from.
    pub network: Option<String>,
    /// Anything else that tells.
    pub detail: Option<String>,
}

type EventRow = (
    Uuid,
    OffsetDateTime,
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
);

/// Adds an event to the trail.
pub(crate) fn record_in_txn(connection: &mut PgConnection, event: NewEvent) -> QueryResult<()> {
    let cut = |text: Option<String>| -> Option<String> {
        text.map(|text| text.chars().take(CHARACTERS_MAX).collect())
    };
    diesel::insert_into(security_events::table)
        .values((
            security_events::id.eq(Uuid::now_v7()),
            security_events::kind.eq(event.kind.as_str()),
            security_events::actor.eq(cut(event.actor)),
            security_events::subject.eq(cut(event.subject)),
            security_events::network.eq(event.network.map(|network| network.to_string())),
            security_events::detail.eq(cut(event.detail)),
        ))
        .execute(connection)
        .map(drop)
}

impl Db {
    /// Adds an event that goes with no other change.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn security_event_add(&self, event: NewEvent) -> Result<(), DbError> {
        self.run("recording an event", move |connection| {
            record_in_txn(connection, event)
        })
        .await
    }

    /// Events, newest first, from the one after `after` on.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn security_event_list(
        &self,
        after: Option<Uuid>,
        limit: u16,
    ) -> Result<Vec<Event>, DbError> {
        self.run("listing events", move |connection| {
            security_events::table
                .filter(security_events::id.lt(after.unwrap_or(Uuid::max())))
                .order(security_events::id.desc())
                .limit(limit.into())
                .load::<EventRow>(connection)?
                .into_iter()
                .map(|(id, at, kind, actor, subject, network, detail)| {
                    Ok(Event {
                        id,
                        at,
                        kind: word(&kind)?,
                        actor,
                        subject,
                        network,
                        detail,
                    })
                })
                .collect()
        })
        .await
    }

    /// Forgets events from before `before`; says how many.
    ///
    /// # Errors
    /// As every call: busy, failed or stopping.
    pub async fn security_event_forget(&self, before: OffsetDateTime) -> Result<usize, DbError> {
        self.run("forgetting events", move |connection| {
            diesel::delete(security_events::table.filter(security_events::at.lt(before)))
                .execute(connection)
        })
        .await
    }
}
