//! How fast something moves, smoothed so that a number on a page can be read.
//!
//! It never reads a clock: whoever measures passes the time that went by.

use std::time::Duration;

/// Time over which a measurement loses two thirds of its weight.
const MEMORY: Duration = Duration::from_secs(3);

/// An exponentially weighted rate.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speed {
    per_second: Option<f64>,
}

impl Speed {
    /// Takes note that `units` more were done in `elapsed`.
    pub(crate) fn moved(&mut self, units: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64().max(1e-6);
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
        let now = units as f64 / seconds;
        let weight = 1.0 - (-seconds / MEMORY.as_secs_f64()).exp();
        self.per_second = Some(
            self.per_second
                .map_or(now, |before| before + weight * (now - before)),
        );
    }

    /// Units per second, once anything has moved.
    pub(crate) fn per_second(&self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float casts to the nearest integer in range, and rates are positive"
        )]
        self.per_second.map(|rate| rate.round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moved_has_no_speed() {
        assert_eq!(Speed::default().per_second(), None);
    }

    #[test]
    fn a_steady_flow_has_its_own_speed() {
        let mut speed = Speed::default();
        for _ in 0..10 {
            speed.moved(500, Duration::from_millis(500));
        }

        assert_eq!(speed.per_second(), Some(1000));
    }

    #[test]
    fn a_change_shows_within_seconds_and_not_at_once() {
        let mut speed = Speed::default();
        speed.moved(10_000, Duration::from_secs(10));

        speed.moved(100, Duration::from_millis(10));
        assert!(
            speed.per_second().is_some_and(|rate| rate < 1_100),
            "{speed:?}"
        );

        speed.moved(100_000, Duration::from_secs(10));
        assert!(
            speed.per_second().is_some_and(|rate| rate > 9_000),
            "{speed:?}"
        );
    }
}
