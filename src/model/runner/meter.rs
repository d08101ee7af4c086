//! What a runner has done so far: running totals, and the times of dispatches if asked for.

use crate::model::counters::Counters;
use crate::model::profile::Timing;

/// Counters and profile.
pub(in crate::model) struct Meter {
    counters: Counters,
    /// Submissions that a step takes: one, or none where there is no device.
    submits: u64,
    /// Dispatches of the steps run since profiling began.
    pub profile: Option<Vec<Timing>>,
}

impl Meter {
    /// At zero, for a runner with or without a device.
    pub fn new(on_device: bool) -> Self {
        Self { counters: Counters::default(), submits: u64::from(on_device), profile: None }
    }

    /// The totals.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Counts `submissions` with steps of `tokens` tokens in all, of `dispatches` dispatches.
    pub fn count_steps(&mut self, tokens: usize, dispatches: usize, submissions: usize) {
        self.counters.tokens += tokens as u64;
        self.counters.dispatches += dispatches as u64;
        self.counters.submits += self.submits * submissions as u64;
    }

    /// Counts bytes that came back with a submission that is counted as a step's.
    pub fn count_bytes(&mut self, bytes: u64) {
        self.counters.readback_bytes += self.submits * bytes;
    }

    /// Counts a submission of its own that brings `bytes` back.
    pub fn count_readback(&mut self, bytes: u64) {
        self.count_steps(0, 0, 1);
        self.count_bytes(bytes);
    }
}
