//! What the viewers got, all together.
//!
//! It never forgets a message that came late: the slowest one is told, too.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::viewer::Viewer;

/// Counts messages and how old they were.
pub(crate) struct Tally {
    /// When counting of time began, in microseconds since 1970.
    base: u128,
    /// Microseconds that one unit of `done` stands for.
    unit: u128,
    /// Microseconds between commit and receipt, of each message.
    ages: Vec<u32>,
    backwards: u64,
}

impl Tally {
    pub(crate) fn new(base: u128, unit: u128) -> Self {
        Self {
            base,
            unit,
            ages: Vec::new(),
            backwards: 0,
        }
    }

    /// Counts from here on.
    pub(crate) fn reset(&mut self) {
        self.ages.clear();
        self.backwards = 0;
    }

    /// Takes note of a value that was committed at the moment it tells.
    pub(crate) fn got(&mut self, done: u64, before: u64) {
        self.backwards += u64::from(done < before);
        let committed = self.base + u128::from(done) * self.unit;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let age = now.as_micros().saturating_sub(committed);
        self.ages.push(u32::try_from(age).unwrap_or(u32::MAX));
    }

    /// The sums; `done` is what everybody should have seen in the end.
    pub(crate) fn report(&mut self, viewers: &[Viewer], done: u64) -> Value {
        self.ages.sort_unstable();
        let share = |share: f64| {
            let last = self.ages.len().saturating_sub(1);
            let index = (last as f64 * share).round() as usize;
            self.ages
                .get(index)
                .map_or(0.0, |age| f64::from(*age) / 1000.0)
        };
        let count = |is_so: fn(&Viewer) -> bool| viewers.iter().filter(|one| is_so(one)).count();
        json!({
            "following": count(Viewer::is_following),
            "recovered": count(Viewer::is_recovered),
            "at_end": viewers.iter().filter(|viewer| viewer.done() == done).count(),
            "messages": self.ages.len(),
            "backwards": self.backwards,
            "p50_ms": share(0.5),
            "p99_ms": share(0.99),
            "max_ms": share(1.0),
        })
    }
}
