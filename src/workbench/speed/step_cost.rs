//! What a step costs on paper: what it must move, what our kernels move, and the rate that follows
//! for given roofs.

use crate::gpu::{Entry, Strategy, Surplus};
use serde::Serialize;

/// Bytes, operations and dispatches of a step, counted from its recording.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StepCost {
    /// Bytes that any implementation must move: weights as the file stores them, and the cache.
    pub necessary_bytes: u64,
    /// Bytes that our kernels move: weights as they are packed, the cache in whole blocks, and
    /// activations between kernels.
    pub moved_bytes: u64,
    /// Bytes that workgroups read again, each for itself, which caches answer: mostly activations.
    pub read_again_bytes: u64,
    /// Floating-point operations.
    pub operations: u64,
    /// Kernel calls: dispatches, where none are fused.
    pub dispatches: u64,
}

impl StepCost {
    /// Adds up `entries` with `context` tokens in the cache; `taken` gives the strategy of each.
    pub fn of(
        entries: &[Entry],
        context: usize,
        taken: impl Fn(&Entry) -> Option<Strategy>,
    ) -> Self {
        let mut sum = Self::default();
        for entry in entries {
            let cost = entry.kernel.cost(context);
            let surplus = taken(entry)
                .map_or(Surplus::default(), |strategy| entry.kernel.surplus(&strategy, context));
            sum.necessary_bytes += entry.kernel.necessary(context);
            sum.moved_bytes += cost.read + cost.written + surplus.memory;
            sum.read_again_bytes += surplus.again;
            sum.operations += cost.operations;
            sum.dispatches += 1;
        }
        sum
    }

    /// What our kernels move by what is necessary.
    pub fn moved_by_necessary(&self) -> f64 {
        self.moved_bytes as f64 / self.necessary_bytes.max(1) as f64
    }

    /// The least seconds that the step takes on this adapter.
    pub fn limit(&self, adapter: &PaperAdapter) -> Limit {
        let memory_s = self.moved_bytes as f64 / (adapter.gb_per_s * 1e9);
        let arithmetic_s =
            adapter.gflop_per_s.map_or(0.0, |rate| self.operations as f64 / (rate * 1e9));
        let dispatch_s = self.dispatches as f64 * adapter.dispatch_us * 1e-6;
        let seconds = memory_s.max(arithmetic_s) + dispatch_s;
        let tokens_per_s = if seconds > 0.0 { 1.0 / seconds } else { 0.0 };
        Limit { memory_s, arithmetic_s, dispatch_s, seconds, tokens_per_s }
    }
}

/// An adapter as far as a step on paper needs it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PaperAdapter {
    /// Memory, 10^9 bytes a second.
    pub gb_per_s: f64,
    /// Arithmetic, 10^9 operations a second; without it memory alone counts.
    pub gflop_per_s: Option<f64>,
    /// A dispatch that waits for the one before, microseconds.
    pub dispatch_us: f64,
}

/// The least time of a step: that of its memory traffic or of its arithmetic, and that of its
/// dispatches.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Limit {
    /// Seconds for the bytes.
    pub memory_s: f64,
    /// Seconds for the operations.
    pub arithmetic_s: f64,
    /// Seconds for the dispatches.
    pub dispatch_s: f64,
    /// All of it.
    pub seconds: f64,
    /// Steps a second, which are tokens where a step is one.
    pub tokens_per_s: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_adds_dispatches_to_the_longer_of_memory_and_arithmetic() {
        let cost = StepCost {
            necessary_bytes: 1_000_000,
            moved_bytes: 1_100_000,
            read_again_bytes: 7,
            operations: 4_000_000,
            dispatches: 100,
        };
        assert!((cost.moved_by_necessary() - 1.1).abs() < 1e-12);
        for (gflop_per_s, seconds) in [(None, 0.0021), (Some(1000.0), 0.0021), (Some(1.0), 0.005)] {
            let limit = cost.limit(&PaperAdapter { gb_per_s: 1.0, gflop_per_s, dispatch_us: 10.0 });
            assert!((limit.seconds - seconds).abs() < 1e-12, "{limit:?}");
            assert!((limit.tokens_per_s * limit.seconds - 1.0).abs() < 1e-12, "{limit:?}");
        }
    }
}
