//! The pages about people: one's own account, everybody's, and the audit trail.
//!
//! It never asks the database; a page shows what a handler has found.

use askama::Template;
use slipway_core::{Action, Role};
use slipway_ingest::{Account, ApiToken, Caller, Event, Page, Session};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::assets::FOLDER;
use crate::pages::{Viewer, moment};

/// What a page says above everything else.
pub(crate) enum Notice {
    /// Nothing.
    None,
    /// Something was done.
    Said(&'static str),
    /// Something was not done, and why.
    Problem(String),
    /// A token was made; it is shown this once.
    Token(String),
    /// A link was made for somebody; it is shown this once.
    Link {
        /// Where it leads.
        url: String,
        /// For whom it is.
        email: String,
    },
}

/// `/account`
#[derive(Template)]
#[template(path = "account.html")]
pub(crate) struct AccountPage {
    assets: &'static str,
    page: &'static str,
    viewer: Option<Viewer>,
    notice: Notice,
    has_password: bool,
    may_administer: bool,
    sessions: Vec<SessionView>,
    tokens: Vec<TokenView>,
}

struct SessionView {
    id: String,
    agent: String,
    network: String,
    began: String,
    seen: String,
    is_this: bool,
}

struct TokenView {
    id: Uuid,
    name: String,
    scopes: String,
    expires: String,
    used: Option<String>,
    /// Why it works no more.
    ended: Option<&'static str>,
}

impl AccountPage {
    pub(crate) fn new(
        caller: &Caller,
        sessions: Vec<(Session, bool)>,
        tokens: Vec<ApiToken>,
    ) -> Self {
        let now = OffsetDateTime::now_utc();
        Self {
            assets: FOLDER,
            page: "account",
            viewer: Some(caller.into()),
            notice: Notice::None,
            has_password: false,
            may_administer: caller.may(Action::AccountsManage).is_ok(),
            sessions: sessions.into_iter().map(SessionView::from).collect(),
            tokens: tokens
                .into_iter()
                .rev()
                .map(|token| TokenView::new(token, now))
                .collect(),
        }
    }

    pub(crate) fn with_password(self, has_password: bool) -> Self {
        Self {
            has_password,
            ..self
        }
    }

    pub(crate) fn with_notice(self, notice: Notice) -> Self {
        Self { notice, ..self }
    }
}

impl From<(Session, bool)> for SessionView {
    fn from((session, is_this): (Session, bool)) -> Self {
        Self {
            id: session.id.to_string(),
            agent: session
                .agent
                .map_or_else(|| "Unknown browser".to_owned(), |agent| browser(&agent)),
            network: session.network.unwrap_or_else(|| "unknown".to_owned()),
            began: moment(session.created_at),
            seen: moment(session.seen_at),
            is_this,
        }
    }
}

impl TokenView {
    fn new(token: ApiToken, now: OffsetDateTime) -> Self {
        let scopes: Vec<&str> = token.scopes.iter().map(|scope| scope.as_str()).collect();
        Self {
            id: token.id,
            name: token.name,
            scopes: scopes.join(", "),
            expires: moment(token.expires_at),
            used: token.used_at.map(moment),
            ended: match (token.revoked_at, token.expires_at <= now) {
                (Some(_), _) => Some("revoked"),
                (None, true) => Some("expired"),
                (None, false) => None,
            },
        }
    }
}

/// What a browser calls itself, in the two words that tell browsers apart. All of them
/// claim to be several others; the first that is found here is the one.
fn browser(agent: &str) -> String {
    let first = |known: &[(&str, &'static str)]| {
        known
            .iter()
            .find(|(mark, _)| agent.contains(mark))
            .map(|(_, name)| *name)
    };
    let program = first(&[
        ("Firefox/", "Firefox"),
        ("Edg/", "Edge"),
        ("OPR/", "Opera"),
        ("Chrome/", "Chrome"),
        ("Safari/", "Safari"),
        ("curl/", "curl"),
    ]);
    let system = first(&[
        ("Android", "Android"),
        ("iPhone", "iPhone"),
        ("iPad", "iPad"),
        ("Windows", "Windows"),
        ("Mac OS X", "Mac"),
        ("CrOS", "ChromeOS"),
        ("Linux", "Linux"),
    ]);
    match (program, system) {
        (Some(program), Some(system)) => format!("{program} on {system}"),
        (Some(program), None) => program.to_owned(),
        (None, _) => agent.chars().take(60).collect(),
    }
}

/// `/accounts`
#[derive(Template)]
#[template(path = "accounts.html")]
pub(crate) struct AccountsPage {
    assets: &'static str,
    page: &'static str,
    viewer: Option<Viewer>,
    notice: Notice,
    accounts: Vec<AccountView>,
}

struct AccountView {
    email: String,
    is_administrator: bool,
    is_disabled: bool,
    is_this: bool,
    since: String,
}

impl AccountsPage {
    pub(crate) fn new(caller: &Caller, accounts: Vec<Account>, notice: Notice) -> Self {
        let view = |account: Account| AccountView {
            is_administrator: account.role == Role::Administrator,
            is_disabled: account.disabled_at.is_some(),
            is_this: account.id == caller.id(),
            since: moment(account.created_at),
            email: account.email,
        };
        Self {
            assets: FOLDER,
            page: "accounts",
            viewer: Some(caller.into()),
            notice,
            accounts: accounts.into_iter().map(view).collect(),
        }
    }
}

/// `/audit`
#[derive(Template)]
#[template(path = "audit.html")]
pub(crate) struct AuditPage {
    assets: &'static str,
    page: &'static str,
    viewer: Option<Viewer>,
    events: Vec<EventView>,
    next: Option<Uuid>,
}

struct EventView {
    at: String,
    what: String,
    actor: String,
    subject: String,
    network: String,
    detail: String,
}

impl AuditPage {
    pub(crate) fn new(caller: &Caller, events: Page<Event, Uuid>) -> Self {
        let view = |event: Event| EventView {
            at: moment(event.at),
            what: event.kind.to_string(),
            actor: event.actor.unwrap_or_default(),
            subject: event.subject.unwrap_or_default(),
            network: event.network.unwrap_or_default(),
            detail: event.detail.unwrap_or_default(),
        };
        Self {
            assets: FOLDER,
            page: "audit",
            viewer: Some(caller.into()),
            next: events.next,
            events: events.entries.into_iter().map(view).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_is_called_by_what_people_call_it() {
        let chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36";
        for (agent, name) in [
            (chrome, "Chrome on Linux"),
            (&format!("{chrome} Edg/140.0.0.0"), "Edge on Linux"),
            (
                "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile Safari/604.1",
                "Safari on iPhone",
            ),
            ("curl/8.5.0", "curl"),
            ("<script>", "<script>"),
        ] {
            assert_eq!(browser(agent), name);
        }
    }
}
