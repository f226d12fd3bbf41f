//! The memory that bytes on their way in, or out, may take, for the whole process.
//!
//! It never makes anybody wait who holds some of it already: whoever has bytes in
//! hand commits them and gives their room back, so that nobody waits in a ring.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Room is given in pieces of this size. Small enough that a slow sender holds next
/// to nothing, large enough that a chunk takes few of them.
pub(crate) const STEP_BYTES: usize = 256 * 1024;

/// The room of all uploads together. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Budget {
    steps: Arc<Semaphore>,
}

/// Some of the room; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    held: OwnedSemaphorePermit,
    budget: Budget,
}

impl Budget {
    /// At most this many bytes at once, but always one step.
    pub(crate) fn new(bytes: u64) -> Self {
        let steps = usize::try_from(bytes).unwrap_or(usize::MAX) / STEP_BYTES;
        Self {
            steps: Arc::new(Semaphore::new(steps.clamp(1, Semaphore::MAX_PERMITS))),
        }
    }

    /// Waits for one step of room; first come, first served. `None` never happens
    /// while the process runs.
    pub(crate) async fn first_step(&self) -> Option<Room> {
        let held = Arc::clone(&self.steps).acquire_owned().await.ok()?;
        Some(Room {
            held,
            budget: self.clone(),
        })
    }

    /// Room for so many bytes, if there is so much at once.
    pub(crate) fn room_for(&self, bytes: usize) -> Option<Room> {
        let steps = u32::try_from(bytes.div_ceil(STEP_BYTES)).ok()?;
        let held = Arc::clone(&self.steps).try_acquire_many_owned(steps).ok()?;
        Some(Room {
            held,
            budget: self.clone(),
        })
    }
}

impl Room {
    /// How many bytes fit.
    pub(crate) fn bytes(&self) -> usize {
        self.held.num_permits() * STEP_BYTES
    }

    /// Takes one step more, if there is one at once.
    pub(crate) fn grow(&mut self) -> bool {
        match Arc::clone(&self.budget.steps).try_acquire_owned() {
            Ok(more) => {
                self.held.merge(more);
                true
            }
            Err(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn room_is_given_in_steps_and_comes_back() {
        let budget = Budget::new(3 * STEP_BYTES as u64);
        let mut one = budget.first_step().await.unwrap();
        assert!(one.grow());
        let two = budget.first_step().await.unwrap();

        assert!(!one.grow(), "all is given");
        assert_eq!((one.bytes(), two.bytes()), (2 * STEP_BYTES, STEP_BYTES));

        drop(two);
        assert!(one.grow());
    }

    #[tokio::test]
    async fn whoever_waits_is_served_before_those_who_want_more() {
        let budget = Budget::new(STEP_BYTES as u64);
        let mut first = budget.first_step().await.unwrap();
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.first_step().await.map(|room| room.bytes()) }
        });
        tokio::task::yield_now().await;
        assert!(!first.grow());

        drop(first);

        assert_eq!(waiting.await.unwrap(), Some(STEP_BYTES));
    }

    #[tokio::test]
    async fn room_for_many_bytes_is_had_whole_or_not_at_all() {
        let budget = Budget::new(3 * STEP_BYTES as u64);

        let two = budget.room_for(STEP_BYTES + 1).unwrap();

        assert_eq!(two.bytes(), 2 * STEP_BYTES);
        assert!(budget.room_for(STEP_BYTES + 1).is_none());
        assert!(budget.room_for(STEP_BYTES).is_some());
    }

    #[tokio::test]
    async fn the_smallest_budget_still_lets_one_upload_through() {
        assert_eq!(
            Budget::new(0).first_step().await.unwrap().bytes(),
            STEP_BYTES
        );
    }
}
