//! How many requests one network may make: counted in this process, in memory.
//!
//! It never asks the database, so that whoever is refused costs next to nothing. What
//! must hold for all processes together, attempts to sign in, is counted there too.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use slipway_core::Network;

use crate::error::ApiError;

/// What a network may do at once, in seconds of what it may do all the time: a page
/// loads some thirty files, an office opens many.
const BURST_SECONDS: u32 = 10;

/// Sign-ins by password a second, and at once: an office in the morning. Beyond it not
/// even the database is asked, where 50 in a quarter of an hour are counted.
const PASSWORDS_A_SECOND: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
const PASSWORDS_AT_ONCE: NonZeroU32 = NonZeroU32::MIN.saturating_add(19);

/// Checks after which networks are forgotten that have all they may again, which takes
/// ten seconds. At 100 bytes each, those of 4096 checks are 400 KB.
const CHECKS_BETWEEN_SWEEPS: u32 = 4096;

/// The limits of this process. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Limits {
    requests: Option<Arc<Limit>>,
    passwords: Arc<Limit>,
}

struct Limit {
    limiter: DefaultKeyedRateLimiter<Network>,
    checks: AtomicU32,
}

impl Limits {
    /// With so many requests a second, or any number if it is 0.
    pub(crate) fn new(requests_per_second: u16) -> Self {
        let requests = NonZeroU32::new(requests_per_second.into()).map(|rate| {
            let burst = rate.saturating_mul(NonZeroU32::new(BURST_SECONDS).unwrap_or(rate));
            Arc::new(Limit::new(Quota::per_second(rate).allow_burst(burst)))
        });
        let passwords = Quota::per_second(PASSWORDS_A_SECOND).allow_burst(PASSWORDS_AT_ONCE);
        Self {
            requests,
            passwords: Arc::new(Limit::new(passwords)),
        }
    }

    /// Lets a request in.
    ///
    /// # Errors
    /// When its network has made too many.
    pub(crate) fn admit(&self, network: Network) -> Result<(), ApiError> {
        match &self.requests {
            Some(requests) => requests.check(network),
            None => Ok(()),
        }
    }

    /// Lets a password be looked at.
    ///
    /// # Errors
    /// When its network has sent too many.
    pub(crate) fn admit_password(&self, network: Network) -> Result<(), ApiError> {
        self.passwords.check(network)
    }
}

impl Limit {
    fn new(quota: Quota) -> Self {
        Self {
            limiter: RateLimiter::keyed(quota),
            checks: AtomicU32::new(0),
        }
    }

    fn check(&self, network: Network) -> Result<(), ApiError> {
        let checks = self.checks.fetch_add(1, Ordering::Relaxed);
        if checks.is_multiple_of(CHECKS_BETWEEN_SWEEPS) {
            self.limiter.retain_recent();
            self.limiter.shrink_to_fit();
        }
        self.limiter.check_key(&network).map_err(|later| {
            let wait = later.wait_time_from(DefaultClock::default().now());
            ApiError::too_many_requests(wait.as_secs() + 1)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_that_asks_too_often_is_told_when_to_come_back_and_others_are_not() {
        let limits = Limits::new(3);
        let network = |address: [u8; 4]| Network::from(std::net::IpAddr::from(address));
        let (one, other) = (network([192, 0, 2, 1]), network([198, 51, 100, 1]));

        let admitted = (0..100).filter(|_| limits.admit(one).is_ok()).count();

        assert!((30..40).contains(&admitted), "{admitted}");
        let refusal = limits.admit(one).expect_err("far too many");
        assert_eq!(refusal.status.as_u16(), 429);
        assert!(limits.admit(other).is_ok());
        let any = Limits::new(0);
        assert!((0..1000).all(|_| any.admit(one).is_ok()));
    }
}
