//! How long fused dispatches are paused after their workers missed each other.

/// Counts steps until fused dispatches are tried again. An occasional miss makes calls run one by
/// one for 8 steps; on a busy machine misses repeat, and each pause is twice as long as the last.
#[derive(Debug, Default)]
pub(in crate::gpu) struct Backoff {
    /// Steps until fused dispatches are tried again.
    left: usize,
    /// Length of the last pause in steps, less the steps that succeeded since.
    last: usize,
}

impl Backoff {
    /// Whether fused dispatches may be tried.
    pub fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Records that a fused dispatch failed.
    pub fn missed(&mut self) {
        self.last = (2 * self.last).clamp(8, 4096);
        self.left = self.last;
        log::info!(
            "threads of the adapter wait for each other in vain; {} steps call by call",
            self.left
        );
    }

    /// Records that `steps` steps succeeded.
    pub fn went_well(&mut self, steps: usize, fused: bool) {
        self.left = self.left.saturating_sub(steps);
        if fused {
            self.last = self.last.saturating_sub(steps);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Backoff;

    #[test]
    fn waits_twice_as_long_each_time() {
        let mut backoff = Backoff::default();
        for steps in [8, 16, 32] {
            assert!(backoff.is_over());
            backoff.missed();
            backoff.went_well(steps - 1, false);
            assert!(!backoff.is_over());
            backoff.went_well(1, false);
        }
        backoff.went_well(30, true);
        backoff.missed();
        backoff.went_well(8, false);
        assert!(backoff.is_over(), "what went well since is forgotten");
    }
}
