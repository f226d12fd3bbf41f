//! Who asks, and who may do what to which resource: one table.
//!
//! It never looks at a request: how a caller proved who they are is decided
//! before anything here runs.

use slipway_core::{AccountId, Action, Role, Scope};
use slipway_db::{Account, Upload};

/// Which people an action is for, of the resource that it is done to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// Its owner, and administrators. For others it does not exist.
    Own,
    /// Whoever it belongs to, signed in as a person: a token must not make tokens.
    Themselves,
    /// Administrators.
    Administration,
}

/// A row of the table: what a token needs, and whose resources it reaches.
#[derive(Debug, Clone, Copy)]
struct Rule {
    scope: Scope,
    whose: Whose,
}

/// The table. A person who is signed in has every scope.
const fn rule(action: Action) -> Rule {
    use Whose::{Administration, Own, Themselves};
    const fn is(scope: Scope, whose: Whose) -> Rule {
        Rule { scope, whose }
    }
    match action {
        Action::UploadCreate => is(Scope::Upload, Own),
        Action::UploadList => is(Scope::Read, Own),
        Action::UploadSee => is(Scope::Read, Own),
        Action::UploadDownload => is(Scope::Read, Own),
        Action::UploadRemove => is(Scope::Upload, Own),
        Action::JobList => is(Scope::Read, Own),
        Action::JobSee => is(Scope::Read, Own),
        Action::JobChange => is(Scope::Upload, Own),
        Action::ProgressFollow => is(Scope::Read, Own),
        Action::EverythingList => is(Scope::Admin, Administration),
        Action::AccountSee => is(Scope::Admin, Themselves),
        Action::AccountChange => is(Scope::Admin, Themselves),
        Action::AccountsManage => is(Scope::Admin, Administration),
        Action::AuditSee => is(Scope::Admin, Administration),
    }
}

/// Why a caller may not do something to anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// Their token does not reach that far.
    #[error("this token does not have the scope {:?}", .0.as_str())]
    Scope(Scope),
    /// It is for administrators.
    #[error("only administrators may do that")]
    Role,
    /// It is for people.
    #[error("a token may not do that; sign in")]
    Person,
}

/// Somebody whose identity is proven.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    account: Account,
    /// `None` for a person who is signed in: a person has every scope.
    scopes: Option<Vec<Scope>>,
}

impl Caller {
    pub(crate) fn person(account: Account) -> Self {
        Self {
            account,
            scopes: None,
        }
    }

    pub(crate) fn script(account: Account, scopes: Vec<Scope>) -> Self {
        Self {
            account,
            scopes: Some(scopes),
        }
    }

    /// In whose name they act.
    pub fn id(&self) -> AccountId {
        self.account.id
    }

    /// The address of that account.
    pub fn email(&self) -> &str {
        &self.account.email
    }

    /// Who they are, for the audit trail.
    pub(crate) fn told(&self) -> String {
        match self.scopes {
            None => self.account.email.clone(),
            Some(_) => format!("a token of {}", self.account.email),
        }
    }

    /// Whether they may do this at all; to which resources, [`Self::may_reach`] says.
    ///
    /// # Errors
    /// Why not.
    pub fn may(&self, action: Action) -> Result<(), Denied> {
        let rule = rule(action);
        if rule.whose == Whose::Themselves && self.scopes.is_some() {
            return Err(Denied::Person);
        }
        if !self.has_scope(rule.scope) {
            return Err(Denied::Scope(rule.scope));
        }
        if rule.whose == Whose::Administration && !self.reaches_all() {
            return Err(Denied::Role);
        }
        Ok(())
    }

    /// Whether what belongs to `owner` is theirs to see and change. Everything is
    /// an administrator's, but a token needs the scope for that too.
    pub fn may_reach(&self, owner: AccountId) -> bool {
        owner == self.account.id || self.reaches_all()
    }

    /// Whether everything is theirs to see and change, whoever owns it.
    pub fn reaches_all(&self) -> bool {
        self.account.role == Role::Administrator && self.has_scope(Scope::Admin)
    }

    /// The upload, if it is there for this caller at all: what is foreign or
    /// removed does not exist.
    pub(crate) fn sees(&self, upload: Option<Upload>) -> Option<Upload> {
        upload.filter(|upload| upload.removed_at.is_none() && self.may_reach(upload.owner))
    }

    fn has_scope(&self, scope: Scope) -> bool {
        self.scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(&scope))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(role: Role) -> Account {
        Account {
            id: AccountId::new(),
            email: "a@example.com".to_owned(),
            role,
            disabled_at: None,
            created_at: time::OffsetDateTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_member_reaches_what_is_theirs_and_an_administrator_all() {
        let member = Caller::person(account(Role::Member));
        assert!(member.may_reach(member.id()));
        assert!(!member.may_reach(AccountId::new()));

        assert!(Caller::person(account(Role::Administrator)).may_reach(AccountId::new()));
    }

    #[test]
    fn an_administrators_token_without_the_scope_is_a_members() {
        let script = Caller::script(account(Role::Administrator), vec![Scope::Read]);

        assert!(!script.may_reach(AccountId::new()));
        assert_eq!(script.may(Action::UploadSee), Ok(()));
        assert_eq!(
            script.may(Action::UploadCreate),
            Err(Denied::Scope(Scope::Upload))
        );
    }

    #[test]
    fn a_members_token_gains_nothing_by_the_scope_of_administrators() {
        let script = Caller::script(account(Role::Member), vec![Scope::Admin]);

        assert_eq!(script.may(Action::EverythingList), Err(Denied::Role));
        assert!(!script.may_reach(AccountId::new()));
    }
}
