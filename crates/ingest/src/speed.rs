//! How fast something moves, smoothed so that a number on a page can be read.
//!
//! It never reads a clock: whoever measures passes the time that went by.

use std::time::Duration;

/// Time over which a measurement loses two thirds of its weight.
const MEMORY: Duration = Duration::from_secs(5);

/// Measured time below which there is nothing to tell: the first chunk of a
/// request was often on the machine before anybody looked.
const MEASURED_MIN: Duration = Duration::from_millis(500);

/// An exponentially weighted rate: units and the time they took fade alike, so
/// that a burst weighs as much as the time it lasted.
#[derive(Debug, Clone, Default)]
pub(crate) struct Speed {
    units: f64,
    seconds: f64,
    before: Option<u64>,
}

impl Speed {
    /// Goes on from a rate that was measured earlier, until there is a new one.
    pub(crate) fn going_on_from(before: Option<u64>) -> Self {
        Self {
            before,
            ..Self::default()
        }
    }

    /// Takes note that `units` more were done in `elapsed`.
    pub(crate) fn moved(&mut self, units: u64, elapsed: Duration) {
        let seconds = elapsed.as_secs_f64();
        let fade = (-seconds / MEMORY.as_secs_f64()).exp();
        #[expect(clippy::cast_precision_loss, reason = "a rate is an estimate")]
        let units = units as f64;
        self.units = self.units * fade + units;
        self.seconds = self.seconds * fade + seconds;
    }

    /// Units per second, once enough was measured.
    pub(crate) fn per_second(&self) -> Option<u64> {
        if self.seconds < MEASURED_MIN.as_secs_f64() {
            return self.before;
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a float casts to the nearest integer in range, and rates are positive"
        )]
        let rate = (self.units / self.seconds).round() as u64;
        Some(rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_little_was_measured_to_tell() {
        let mut speed = Speed::default();
        speed.moved(1_000_000, Duration::from_millis(1));
        assert_eq!(speed.per_second(), None);

        let mut speed = Speed::going_on_from(Some(70));
        speed.moved(1_000_000, Duration::from_millis(1));
        assert_eq!(speed.per_second(), Some(70));
    }

    #[test]
    fn a_steady_flow_has_its_own_speed_however_it_comes() {
        let mut speed = Speed::default();
        for (units, milliseconds) in [(500, 500), (1, 1), (2000, 2000), (10, 10), (300, 300)] {
            speed.moved(units, Duration::from_millis(milliseconds));
        }

        assert_eq!(speed.per_second(), Some(1000));
    }

    #[test]
    fn a_burst_hardly_shows_and_a_change_does_within_seconds() {
        let mut speed = Speed::default();
        speed.moved(10_000, Duration::from_secs(10));

        speed.moved(1_000, Duration::from_millis(10));
        assert!(
            speed.per_second().is_some_and(|rate| rate < 1_400),
            "{speed:?}"
        );

        speed.moved(100_000, Duration::from_secs(10));
        assert!(
            speed.per_second().is_some_and(|rate| rate > 8_000),
            "{speed:?}"
        );
    }
}
