//! Stage B: what a process may do with a database, decided by the stamp in it.
//!
//! A pure function of a few facts, like stage A. Each row of the table is a kind of
//! stamp; a doubt is never to anybody's advantage.

use crate::platform::Task;
use crate::{Access, Environment};

use super::found::Kinship;

/// What is known of the stamp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seen {
    Empty,
    Unstamped,
    Unreadable,
    /// Another app's.
    Foreign,
    Is(Environment),
}

/// All that stage B looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) environment: Environment,
    /// What the process was started for; `None` off every platform.
    pub(crate) task: Option<Task>,
    pub(crate) seen: Seen,
    pub(crate) kinship: Kinship,
    pub(crate) marker_agrees: bool,
    /// Dialled on this machine, and answered from it: no tunnel in between.
    pub(crate) direct: bool,
    pub(crate) access: Access,
}

/// What follows, the most lenient first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cell {
    Allow,
    Warn,
    /// Allowed, and the stamp is written with it.
    Stamp,
    /// Allowed, and the stamp is bound to this database with it.
    Rebind,
    /// Not now; perhaps soon.
    Unready,
    /// Only with a word typed for this very database.
    Confirm,
    Refuse,
}

impl Cell {
    pub(crate) fn allows(self) -> bool {
        self <= Self::Rebind
    }
}

/// The rows of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Row {
    /// Nothing in it.
    B1,
    /// Something in it, and no stamp.
    B2,
    /// Development, this one.
    B3,
    /// Development, copied.
    B4,
    /// Test, this one.
    B5,
    /// Test, copied.
    B6,
    /// Preview, this one.
    B7,
    /// Staging, this one.
    B8,
    /// Production, this one.
    B9,
    /// Deployed, copied.
    B10,
    /// Deployed, and its identity cannot be read.
    B11,
    /// Another app's.
    B12,
    /// Unreadable.
    B13,
}

impl Row {
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::B1 => "B1",
            Self::B2 => "B2",
            Self::B3 => "B3",
            Self::B4 => "B4",
            Self::B5 => "B5",
            Self::B6 => "B6",
            Self::B7 => "B7",
            Self::B8 => "B8",
            Self::B9 => "B9",
            Self::B10 => "B10",
            Self::B11 => "B11",
            Self::B12 => "B12",
            Self::B13 => "B13",
        }
    }
}

impl Sight {
    /// The row that decides, and what it says. Where the marker contradicts the stamp,
    /// both readings are tried and the stricter one holds.
    pub(crate) fn decide(&self) -> (Row, Cell) {
        let as_told = (self.row(self.kinship), self.cell(self.kinship));
        if self.marker_agrees || self.kinship == Kinship::Differs {
            return as_told;
        }
        let as_copy = (self.row(Kinship::Differs), self.cell(Kinship::Differs));
        if as_copy.1 > as_told.1 {
            as_copy
        } else {
            as_told
        }
    }

    fn row(&self, kinship: Kinship) -> Row {
        use Environment::{Development, Preview, Production, Staging, Test};
        match (self.seen, kinship) {
            (Seen::Empty, _) => Row::B1,
            (Seen::Unstamped, _) => Row::B2,
            (Seen::Unreadable, _) => Row::B13,
            (Seen::Foreign, _) => Row::B12,
            (Seen::Is(Development), Kinship::Same) => Row::B3,
            (Seen::Is(Development), _) => Row::B4,
            (Seen::Is(Test), Kinship::Same) => Row::B5,
            (Seen::Is(Test), _) => Row::B6,
            (Seen::Is(Preview), Kinship::Same) => Row::B7,
            (Seen::Is(Staging), Kinship::Same) => Row::B8,
            (Seen::Is(Production), Kinship::Same) => Row::B9,
            (Seen::Is(Preview | Staging | Production), Kinship::Differs) => Row::B10,
            (Seen::Is(Preview | Staging | Production), Kinship::Unknown) => Row::B11,
        }
    }

    fn cell(&self, kinship: Kinship) -> Cell {
        match self.access {
            Access::Look => return Cell::Allow,
            Access::Restamp => return self.adoption(kinship),
            _ => {}
        }
        match self.row(kinship) {
            Row::B1 => self.empty(),
            Row::B2 if self.environment == Environment::Development && self.direct => {
                self.only_reads(Cell::Warn)
            }
            Row::B13 if self.environment.is_deployed() && self.access == Access::Write => {
                Cell::Unready
            }
            Row::B2 | Row::B12 | Row::B13 => Cell::Refuse,
            row => self.stamped(row),
        }
    }

    /// A database with nothing in it.
    fn empty(&self) -> Cell {
        use Environment::{Development, Preview, Test};
        match (self.access, self.environment) {
            (Access::Read, _) => Cell::Allow,
            (Access::Write, _) => Cell::Unready,
            (Access::Migrate, Development | Test) => Cell::Stamp,
            (Access::Migrate, _) if self.in_release() => Cell::Stamp,
            (Access::Destroy, Test) => Cell::Allow,
            (Access::Destroy, Development) if self.direct => Cell::Confirm,
            (Access::Destroy, Preview) => Cell::Confirm,
            _ => Cell::Refuse,
        }
    }

    /// A database with a stamp of ours.
    fn stamped(&self, row: Row) -> Cell {
        use Environment::{Development, Production};
        let own = self.seen == Seen::Is(self.environment);
        match (row, self.access) {
            (Row::B5, Access::Read) if self.environment == Development => Cell::Allow,
            _ if !own => Cell::Refuse,
            (Row::B5, _) => Cell::Allow,
            (Row::B3 | Row::B7 | Row::B8 | Row::B9, Access::Read | Access::Write)
            | (Row::B3 | Row::B7 | Row::B8, Access::Migrate)
            | (Row::B4 | Row::B6, Access::Read) => Cell::Allow,
            (Row::B3 | Row::B7, Access::Destroy) => Cell::Confirm,
            (Row::B8, Access::Destroy) if self.task == Some(Task::Run) => Cell::Confirm,
            (Row::B4 | Row::B6, Access::Write | Access::Migrate) => Cell::Warn,
            (Row::B9, Access::Migrate) if self.environment == Production => self.migration(),
            (Row::B10 | Row::B11, Access::Read | Access::Write) => Cell::Warn,
            (Row::B10, Access::Migrate) if self.in_release() => Cell::Rebind,
            (Row::B11, Access::Migrate) => self.migration().max(Cell::Warn),
            (_, _) => Cell::Refuse,
        }
    }

    /// Migrating production belongs into the release phase; by hand it is possible.
    fn migration(&self) -> Cell {
        match self.task {
            Some(Task::Release) => Cell::Allow,
            Some(Task::Run | Task::Unknown) => Cell::Warn,
            Some(Task::Serve) | None => Cell::Refuse,
        }
    }

    /// Whether this is a release, as far as the platform says.
    fn in_release(&self) -> bool {
        matches!(self.task, Some(Task::Release | Task::Unknown))
    }

    /// Whether a person may say anew what this database is.
    fn adoption(&self, kinship: Kinship) -> Cell {
        use Environment::{Development, Preview, Production, Staging, Test};
        let by_hand = matches!(self.task, Some(Task::Run | Task::Unknown));
        let copied = kinship == Kinship::Differs;
        let may = match (self.environment, self.seen) {
            (_, Seen::Empty | Seen::Unreadable) | (Test | Preview, _) => false,
            (Development, Seen::Unstamped) => self.direct,
            (Staging | Production, Seen::Unstamped) => by_hand,
            // A copy of anything becomes a toy, on this machine and in no tunnel.
            (Development, Seen::Foreign) => copied && self.direct,
            (Development, Seen::Is(environment)) => copied && self.direct && environment != Test,
            // Staging is refreshed from production, which is another app.
            (Staging, Seen::Foreign | Seen::Is(Production)) => copied && by_hand,
            (Staging | Production, _) => false,
        };
        if may { Cell::Allow } else { Cell::Refuse }
    }

    fn only_reads(&self, cell: Cell) -> Cell {
        match self.access {
            Access::Look | Access::Read => cell,
            _ => Cell::Refuse,
        }
    }
}
