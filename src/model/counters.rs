//! Counts of the work that a runner has given to the device.

use std::ops::Sub;

/// Running totals; the difference of two is what happened in between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Tokens computed.
    pub tokens: u64,
    /// Kernel calls.
    pub dispatches: u64,
    /// Command buffers submitted.
    pub submits: u64,
    /// Bytes of tensors read back from the device.
    pub readback_bytes: u64,
}

impl Sub for Counters {
    type Output = Self;
    fn sub(self, earlier: Self) -> Self {
        Self {
            tokens: self.tokens - earlier.tokens,
            dispatches: self.dispatches - earlier.dispatches,
            submits: self.submits - earlier.submits,
            readback_bytes: self.readback_bytes - earlier.readback_bytes,
        }
    }
}
