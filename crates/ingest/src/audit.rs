//! The audit trail: who did what to accounts, sessions, tokens and uploads.
//!
//! It never records what did not happen, and never a secret.

use anyhow::Context;
use slipway_core::{Action, EventKind, Network};
use slipway_db::{Event, NewEvent};
use uuid::Uuid;

use crate::{Caller, Denied, Ingest, Page, ReadError};

/// Events of one page of the trail.
const PAGE_EVENTS: u16 = 100;

/// Who does something, and from where.
#[derive(Debug, Clone)]
pub enum By {
    /// Somebody at the command line: they have the database, and so may do everything.
    CommandLine,
    /// Somebody whose identity is proven.
    Caller(Caller, Network),
    /// Somebody who has the key of an upload.
    KeyHolder(Network),
}

impl By {
    /// Whether they may do this at all.
    pub(crate) fn may(&self, action: Action) -> Result<(), Denied> {
        match self {
            Self::CommandLine => Ok(()),
            Self::Caller(caller, _) => caller.may(action),
            Self::KeyHolder(_) => Err(Denied::Role),
        }
    }

    /// An event that they cause.
    pub(crate) fn event(&self, kind: EventKind, subject: impl Into<String>) -> NewEvent {
        let (actor, network) = match self {
            Self::CommandLine => ("the command line".to_owned(), None),
            Self::Caller(caller, network) => (caller.told(), Some(*network)),
            Self::KeyHolder(network) => ("a holder of its key".to_owned(), Some(*network)),
        };
        NewEvent {
            kind,
            actor: Some(actor),
            subject: Some(subject.into()),
            network,
            detail: None,
        }
    }
}

impl Ingest {
    /// The audit trail, newest first.
    ///
    /// # Errors
    /// When the caller may not see it, or on a fault.
    pub async fn events(
        &self,
        caller: &Caller,
        after: Option<Uuid>,
    ) -> Result<Page<Event, Uuid>, ReadError> {
        caller.may(Action::AuditSee)?;
        let listed = self.db.security_event_list(after, PAGE_EVENTS).await;
        let entries = listed.context("listing events")?;
        let whole = entries.len() == usize::from(PAGE_EVENTS);
        let next = entries.last().filter(|_| whole).map(|event| event.id);
        Ok(Page { entries, next })
    }
}
