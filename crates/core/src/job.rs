//! What a job can be, and which moves between its states are legal.
//!
//! It never says how a job is done.

use crate::words::words;

words! {
    /// The closed list of jobs. A new one is a variant here, a file in
    /// `ingest/jobs` and an arm in the worker's one `match`.
    JobKind("job kind") {
        /// Reads a stored file back, proves its SHA-256 and says what is in it.
        Inspect = "inspect",
        /// Puts a file together from others.
        Assemble = "assemble",
    }
}

words! {
    /// How far a job has got.
    JobState("job state") {
        /// Waits for a worker.
        Queued = "queued",
        /// A worker holds its lease.
        Running = "running",
        /// Did what it was for.
        Done = "done",
        /// Found that it must not or cannot be done; the message is for the person.
        Refused = "refused",
        /// Broke, as often as it may.
        Failed = "failed",
        /// Somebody stopped it.
        Cancelled = "cancelled",
    }
}

impl JobState {
    /// Whether a job may go from this state to `next`.
    pub const fn may_become(self, next: Self) -> bool {
        matches!(
            (self, next),
            // A worker takes it, or somebody cancels it first.
            (Self::Queued, Self::Running | Self::Cancelled)
                // Back to the queue: the attempt failed, or its worker is leaving.
                | (Self::Running, Self::Queued | Self::Done | Self::Refused | Self::Failed | Self::Cancelled)
                // Somebody asks for another try.
                | (Self::Refused | Self::Failed | Self::Cancelled, Self::Queued)
        )
    }

    /// Whether progress is still to be expected.
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued | Self::Running)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_that_is_done_stays_done() {
        for next in JobState::ALL {
            assert!(!JobState::Done.may_become(*next), "{next}");
        }
    }

    #[test]
    fn every_state_can_be_reached_from_the_queue() {
        let mut reached = vec![JobState::Queued];
        let mut at = 0;
        while let Some(from) = reached.get(at).copied() {
            for next in JobState::ALL {
                if from.may_become(*next) && !reached.contains(next) {
                    reached.push(*next);
                }
            }
            at += 1;
        }

        assert_eq!(reached.len(), JobState::ALL.len());
    }
}
