//! How many decode steps go into one submission.

use std::time::Duration;

/// Steps in a submission at most: what an answer's end may waste is one less.
const MOST: usize = 8;
/// A submission should not take longer, so that text flows and an interrupt is felt at once.
const TARGET: Duration = Duration::from_millis(120);

/// Starts with one step and grows while submissions stay short.
pub(super) struct DecodeBatching(usize);

impl DecodeBatching {
    pub(super) fn new() -> Self {
        Self(1)
    }

    /// Steps for the next submission.
    pub(super) fn steps(&self) -> usize {
        self.0
    }

    /// Learns from a submission of `steps` steps.
    pub(super) fn took(&mut self, steps: usize, time: Duration) {
        let step = time.as_secs_f64() / steps as f64;
        let fitting = (TARGET.as_secs_f64() / step.max(1e-6)) as usize;
        self.0 = fitting.clamp(1, MOST).min(2 * steps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_follow_the_time_they_take() {
        // Milliseconds a step, and the steps of the submissions that follow.
        let rows: [(u64, &[usize]); 4] =
            [(1, &[1, 2, 4, 8, 8]), (40, &[1, 2, 3, 3]), (70, &[1, 1]), (900, &[1, 1])];
        for (each, expected) in rows {
            let mut pace = DecodeBatching::new();
            for &steps in expected {
                assert_eq!(pace.steps(), steps, "{each} ms a step");
                pace.took(steps, Duration::from_millis(each * steps as u64));
            }
        }
    }
}
