//! Who asks, and what they may see or change.
//!
//! It never looks at a request: how a caller proved who they are is decided
//! before anything here runs.

use slipway_core::{AccountId, Role, Scope};
use slipway_db::{Account, Upload};

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

    /// Whether their token, if they bear one, reaches this far.
    pub fn has_scope(&self, scope: Scope) -> bool {
        self.scopes
            .as_ref()
            .is_none_or(|scopes| scopes.contains(&scope))
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
        assert!(script.has_scope(Scope::Read) && !script.has_scope(Scope::Upload));
    }
}
