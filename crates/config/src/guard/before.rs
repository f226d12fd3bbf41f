//! Stage A: whether to dial at all, decided before any packet to a database.
//!
//! A pure function of a few facts, so that all their combinations can be tried. The
//! name of a host only ever adds a refusal; leave to write comes from the stamp in the
//! database alone, in stage B.

use crate::address::Reach;
use crate::platform::{Host, Platform, Task};
use crate::{Access, Environment};

/// What `SLIPWAY_ENV` and its alias say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Declared {
    /// Neither is set.
    Nothing,
    /// This.
    Is(Environment),
    /// An unknown word, or two that differ.
    Nonsense,
}

/// What is known of the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// It is missing, cannot be read, or variables would steer libpq past it.
    Unusable,
    /// It says a part twice.
    Overridden,
    /// It names several servers; whether the configuration lists all of them.
    Several { listed: bool },
    /// It names one.
    One,
}

/// All that stage A looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scene {
    pub(crate) declared: Declared,
    pub(crate) platform: Platform,
    pub(crate) ci: bool,
    pub(crate) target: Target,
    pub(crate) reach: Reach,
    /// Whether the configuration that is in the repository lists its hosts.
    pub(crate) listed: bool,
    /// Whether the address is also that of a variable which a platform sets, or a
    /// provider's name.
    pub(crate) pasted: bool,
    /// Whether it comes from where tests look, and its name ends as it must.
    pub(crate) for_tests: bool,
    /// Whether it asks for less protection than it must have.
    pub(crate) downgraded: bool,
    pub(crate) access: Access,
}

/// The rules, in the order in which they are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rule {
    /// The declaration is unclear.
    A1,
    /// The address is.
    A2,
    /// Several servers.
    A3,
    /// A part of the address is said twice.
    A4,
    /// A release without a declaration.
    A5,
    /// A platform, and a declaration that is for none.
    A7,
    /// Copied variables.
    A8,
    /// A deployed environment without a platform.
    A9,
    /// A copied address.
    A10,
    /// A remote database.
    A11,
    /// Not a database for tests.
    A12,
    /// Contradictory evidence.
    A13,
    /// Less than the least protection.
    T1,
    /// A platform's own proxy.
    A14,
    /// Anything else.
    A15,
}

impl Rule {
    pub(crate) const fn id(self) -> &'static str {
        match self {
            Self::A1 => "A1",
            Self::A2 => "A2",
            Self::A3 => "A3",
            Self::A4 => "A4",
            Self::A5 => "A5",
            Self::A7 => "A7",
            Self::A8 => "A8",
            Self::A9 => "A9",
            Self::A10 => "A10",
            Self::A11 => "A11",
            Self::A12 => "A12",
            Self::A13 => "A13",
            Self::T1 => "T1",
            Self::A14 => "A14",
            Self::A15 => "A15",
        }
    }

    /// Whether it lets the database be dialled.
    pub(crate) const fn dials(self) -> bool {
        matches!(self, Self::A14 | Self::A15)
    }
}

/// The environment that is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settled {
    pub(crate) environment: Environment,
    /// Rule A6: nothing is declared, and the strictest is assumed.
    pub(crate) assumed: bool,
}

/// Reads the declaration in the light of the platform.
pub(crate) fn settle(declared: Declared, platform: Platform) -> Result<Settled, Rule> {
    let assumed = |environment| {
        Ok(Settled {
            environment,
            assumed: true,
        })
    };
    match (declared, platform) {
        (Declared::Is(environment), _) => Ok(Settled {
            environment,
            assumed: false,
        }),
        (Declared::Nonsense, _) => Err(Rule::A1),
        (Declared::Nothing, Platform::Host(host, Task::Release)) if host.is_heroku() => {
            Err(Rule::A5)
        }
        (Declared::Nothing, Platform::Host(Host::Heroku, _)) => assumed(Environment::Production),
        (Declared::Nothing, Platform::Host(Host::HerokuReview, _)) => assumed(Environment::Preview),
        (Declared::Nothing, Platform::Host(Host::HerokuCi, _)) => assumed(Environment::Test),
        (Declared::Nothing, _) => Err(Rule::A1),
    }
}

impl Scene {
    /// The rule that decides: the first that fits.
    pub(crate) fn rule(&self) -> Rule {
        let environment = match settle(self.declared, self.platform) {
            Ok(settled) => Ok(settled.environment),
            Err(Rule::A1) => return Rule::A1,
            Err(later) => Err(later),
        };
        match self.target {
            Target::Unusable => return Rule::A2,
            Target::Several { listed } if !(listed && self.platform.is_proven()) => {
                return Rule::A3;
            }
            Target::Overridden => return Rule::A4,
            Target::Several { .. } | Target::One => {}
        }
        match environment {
            Ok(environment) => self.rule_in(environment),
            Err(rule) => rule,
        }
    }

    /// The rules that ask where, given what.
    fn rule_in(&self, environment: Environment) -> Rule {
        let on_platform = self.platform.is_proven() && environment.is_deployed();
        let more_than_looks = self.access > Access::Look;
        let contradictory = matches!(self.platform, Platform::Several(..))
            || self.ci && environment == Environment::Production
            || self.platform_is(Host::HerokuCi) && environment.is_deployed();
        if self.is_misdeclared(environment) {
            Rule::A7
        } else if matches!(self.platform, Platform::Copied(_)) && more_than_looks {
            Rule::A8
        } else if !self.platform.is_proven() && environment.is_deployed() && more_than_looks {
            Rule::A9
        } else if !on_platform && self.pasted {
            Rule::A10
        } else if !on_platform && self.reach == Reach::Remote && !self.listed {
            Rule::A11
        } else if environment == Environment::Test && !self.for_tests {
            Rule::A12
        } else if contradictory {
            Rule::A13
        } else if self.downgraded {
            Rule::T1
        } else if on_platform && self.reach == Reach::Local {
            Rule::A14
        } else {
            Rule::A15
        }
    }

    /// Whether a platform is there that only deployed processes run on.
    fn is_misdeclared(&self, environment: Environment) -> bool {
        match self.platform {
            Platform::Host(Host::HerokuCi, _) => environment == Environment::Development,
            Platform::Host(host, _) => host.is_for_deployment_only() && !environment.is_deployed(),
            _ => false,
        }
    }

    fn platform_is(&self, wanted: Host) -> bool {
        matches!(self.platform, Platform::Host(host, _) if host == wanted)
    }
}
