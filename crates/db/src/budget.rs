//! How many connections a release needs, and how many there are.
//!
//! Arithmetic only; it is printed, so that whoever must change a number sees which.

use std::fmt;

use slipway_config::DatabaseSettings;

/// Connections of a process besides its pool: the one that listens, and the one that
/// finds out whether a database is back.
const BESIDES_THE_POOL: u32 = 2;

/// While a release replaces another, both are connected.
const RELEASES_AT_ONCE: u32 = 2;

/// The migrator of the release, and two people who look what is going on.
const MIGRATOR_AND_PEOPLE: u32 = 3;

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the role; `None` if it has no limit of its own.
    pub role: Option<u32>,
    /// Of the database; `None` if it has no limit of its own.
    pub database: Option<u32>,
    /// Of the server, those set aside for its superusers not counted.
    pub server: u32,
    /// Connections of the role now, of all processes.
    pub taken: u32,
}

impl Limits {
    /// The limit that is reached first.
    pub fn least(&self) -> u32 {
        let own = [self.role, self.database].into_iter().flatten().min();
        own.map_or(self.server, |own| own.min(self.server))
    }
}

/// What a release needs, against what there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    processes: u32,
    pool_max: u32,
    limits: Limits,
}

impl Budget {
    /// The budget of a formation of so many processes with such pools.
    pub fn of(settings: &DatabaseSettings, limits: Limits) -> Self {
        Self {
            processes: settings.processes.into(),
            pool_max: settings.pool_max,
            limits,
        }
    }

    /// Connections that two releases, one replacing the other, take together.
    pub fn needed(&self) -> u32 {
        self.processes
            .saturating_mul(self.pool_max.saturating_add(BESIDES_THE_POOL))
            .saturating_mul(RELEASES_AT_ONCE)
            .saturating_add(MIGRATOR_AND_PEOPLE)
    }

    /// Whether there are as many.
    pub fn holds(&self) -> bool {
        self.needed() <= self.limits.least()
    }

    /// The largest pool with which it would hold; `None` if none is small enough.
    pub fn pool_max_that_fits(&self) -> Option<u32> {
        /// With one connection a request that needs two waits for itself.
        const POOL_MIN: u32 = 2;
        let each = self.limits.least().checked_sub(MIGRATOR_AND_PEOPLE)?
            / RELEASES_AT_ONCE
            / self.processes.max(1);
        each.checked_sub(BESIDES_THE_POOL)
            .filter(|pool| *pool >= POOL_MIN)
    }
}

/// The arithmetic.
impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let relation = if self.holds() { "<=" } else { ">" };
        write!(
            f,
            "processes: {} x ({} pooled + {BESIDES_THE_POOL}) x {RELEASES_AT_ONCE} releases + {MIGRATOR_AND_PEOPLE} = {} {relation} {}",
            self.processes,
            self.pool_max,
            self.needed(),
            self.limits.least(),
        )
    }
}

#[cfg(test)]
mod tests {
    use slipway_config::TlsMode;

    use super::*;

    fn budget(processes: u16, pool_max: u32, role: Option<u32>) -> Budget {
        let settings = DatabaseSettings {
            pool_max,
            processes,
            tls: TlsMode::Prefer,
            tls_authority: None,
            remote_hosts: vec![],
        };
        let limits = Limits {
            role,
            database: None,
            server: 97,
            taken: 0,
        };
        Budget::of(&settings, limits)
    }

    #[test]
    fn the_smallest_plan_holds_one_process_with_the_default_pool() {
        let one = budget(1, 4, Some(20));

        assert!(one.holds());
        assert_eq!(
            one.to_string(),
            "processes: 1 x (4 pooled + 2) x 2 releases + 3 = 15 <= 20"
        );
    }

    #[test]
    fn a_pool_that_is_too_large_is_told_which_would_fit() {
        let two = budget(2, 4, Some(20));

        assert!(!two.holds());
        assert_eq!(two.pool_max_that_fits(), Some(2));
        assert!(budget(2, 2, Some(20)).holds());
        assert_eq!(budget(5, 4, Some(20)).pool_max_that_fits(), None);
    }

    #[test]
    fn the_least_of_all_limits_counts() {
        assert!(budget(8, 4, None).limits.least() == 97);
        assert!(!budget(8, 4, None).holds());
        assert!(budget(u16::MAX, u32::MAX, None).needed() > 97);
    }
}
