//! What a person types to say anew what a database is.
//!
//! The phrase names the database and ends in a number that only this stamp has, and
//! only for some minutes: one that was written down, committed or exported is worth
//! nothing. It proves intent, not identity; it is no secret.

use sha2::{Digest, Sha256};
use time::OffsetDateTime;

use super::{Found, StampSeen};
use crate::Environment;

/// How long a phrase is good.
const ADOPTION_MINUTES_MAX: i64 = 10;

/// Digits at the end of a phrase: a person types them, and guessing is no danger.
const DIGITS: usize = 6;

/// An adoption that is offered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adoption {
    /// What is to be typed.
    pub phrase: String,
    /// What the database will be.
    pub environment: Environment,
}

impl Adoption {
    /// What must be typed at `now` to adopt what was found.
    pub fn at(now: OffsetDateTime, found: &Found, environment: Environment) -> Self {
        Self {
            phrase: phrase(minute(now), found, environment),
            environment,
        }
    }

    /// Whether `typed` is what was to be typed within the last minutes. It is used up
    /// by the adoption itself, which makes another stamp.
    pub fn is_confirmed(&self, typed: &str, now: OffsetDateTime, found: &Found) -> bool {
        let now = minute(now);
        (now - ADOPTION_MINUTES_MAX..=now)
            .any(|minute| phrase(minute, found, self.environment) == typed)
    }
}

fn minute(at: OffsetDateTime) -> i64 {
    at.unix_timestamp().div_euclid(60)
}

fn phrase(minute: i64, found: &Found, environment: Environment) -> String {
    let (app, stamped) = match &found.stamp {
        StampSeen::Is(stamp) => (
            stamp.environment.as_str(),
            stamp.stamped_at.unix_timestamp_nanos(),
        ),
        _ => ("unstamped", 0),
    };
    let here = &found.here;
    let system = here.system.unwrap_or_default();
    let told = format!("{minute}/{stamped}/{system}/{}/{environment}", here.oid);
    let digits: String = Sha256::digest(told)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("{app}/{}#{}", here.name, &digits[..DIGITS])
}

#[cfg(test)]
mod tests {
    use time::Duration;

    use super::*;
    use crate::{Identity, Stamp};

    fn found() -> Found {
        let identity = Identity {
            system: Some(7),
            oid: 16_400,
            name: "shop".to_owned(),
        };
        Found {
            stamp: StampSeen::Is(Box::new(Stamp {
                environment: Environment::Production,
                app_id: None,
                shared_with: Vec::new(),
                identity: Identity {
                    system: Some(8),
                    ..identity.clone()
                },
                marked: true,
                stamped_at: OffsetDateTime::UNIX_EPOCH,
                stamped_by: String::new(),
            })),
            here: identity,
            marker: None,
            server: None,
        }
    }

    #[test]
    fn a_phrase_is_good_for_ten_minutes_and_this_database() {
        let asked = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let adoption = Adoption::at(asked, &found(), Environment::Development);
        let typed = adoption.phrase.clone();
        assert!(typed.starts_with("production/shop#"), "{typed}");

        assert!(adoption.is_confirmed(&typed, asked, &found()));
        assert!(adoption.is_confirmed(&typed, asked + Duration::minutes(10), &found()));
        assert!(!adoption.is_confirmed(&typed, asked + Duration::minutes(11), &found()));
        assert!(!adoption.is_confirmed("yes", asked, &found()));
        let mut another = found();
        another.here.oid += 1;
        assert!(!adoption.is_confirmed(&typed, asked, &another));
    }

    #[test]
    fn a_phrase_is_used_up_by_the_adoption() {
        let asked = OffsetDateTime::UNIX_EPOCH + Duration::days(20_000);
        let adoption = Adoption::at(asked, &found(), Environment::Development);
        let mut adopted = found();
        if let StampSeen::Is(stamp) = &mut adopted.stamp {
            stamp.stamped_at = asked;
        }

        assert!(!adoption.is_confirmed(&adoption.phrase, asked, &adopted));
    }
}
