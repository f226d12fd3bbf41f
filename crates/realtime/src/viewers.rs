//! What tells viewers of this process apart, and spreads them over a time.
//!
//! It never says who a viewer is.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

static VIEWERS: AtomicU64 = AtomicU64::new(1);

/// A number that no other viewer of this process has.
pub(crate) fn next_viewer() -> u64 {
    VIEWERS.fetch_add(1, Ordering::Relaxed)
}

/// This viewer's share of `within`, even over consecutive viewers: the fractional
/// parts of multiples of the golden ratio never bunch.
pub(crate) fn spread(viewer: u64, within: Duration) -> Duration {
    const GOLDEN: f64 = 0.618_033_988_749_895;
    let number = u32::try_from(viewer % u64::from(u32::MAX)).unwrap_or_default();
    within.mul_f64((f64::from(number) * GOLDEN).fract())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_leave_evenly_over_the_time_they_have() {
        let within = Duration::from_secs(8);
        let mut shares: Vec<Duration> = (1..=1000).map(|viewer| spread(viewer, within)).collect();
        shares.sort_unstable();

        let widest = shares
            .windows(2)
            .map(|pair| pair[1] - pair[0])
            .max()
            .unwrap();

        assert!(
            shares[999] < within && widest < Duration::from_millis(20),
            "{widest:?}"
        );
    }
}
