//! The recording: a list of kernel calls that can be run, compared, costed and differentiated.

use crate::gpu::kernel::kernel::{Cost, Kernel};
use crate::gpu::tensor::host::HostMemory;
use std::ops::Range;
use std::sync::Arc;

/// One kernel call with its displayed label.
#[derive(Clone)]
pub struct Entry {
    /// The label, such as "blk.3.attn_output".
    pub label: String,
    /// The call.
    pub kernel: Arc<dyn Kernel>,
}

/// A list of kernel calls, in order.
#[derive(Clone, Default)]
pub struct Recording {
    entries: Vec<Entry>,
    blocks: Vec<Range<usize>>,
}

impl Recording {
    /// Appends a call.
    pub fn push(&mut self, label: impl Into<String>, kernel: impl Kernel + 'static) {
        self.entries.push(Entry { label: label.into(), kernel: Arc::new(kernel) });
    }

    /// Appends the calls of another recording.
    pub fn extend(&mut self, other: &Self) {
        let first = self.entries.len();
        let moved = |calls: &Range<usize>| first + calls.start..first + calls.end;
        self.blocks.extend(other.blocks.iter().map(moved));
        self.entries.extend_from_slice(&other.entries);
    }

    /// Marks the calls from number `first` to the last one as a block, such as a layer of a model.
    /// Blocks that compute alike with other tensors can be fused into one dispatch. The marks do
    /// not change results; without calls no block is added.
    ///
    /// # Panics
    /// When some of the calls are already in a block.
    #[track_caller]
    pub fn block_from(&mut self, first: usize) {
        let taken = self.blocks.last().map_or(0, |block| block.end);
        assert!(first >= taken, "call {first} is in a block already");
        if first < self.entries.len() {
            self.blocks.push(first..self.entries.len());
        }
    }

    /// The ranges of call numbers of each block, in order.
    pub fn blocks(&self) -> &[Range<usize>] {
        &self.blocks
    }

    /// The calls.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Total bytes and operations of all calls, with `context` tokens in the cache.
    pub fn cost(&self, context: usize) -> Cost {
        self.entries.iter().map(|entry| entry.kernel.cost(context)).sum()
    }

    /// Runs every call through its plain-loop reference.
    pub fn run_reference(&self, memory: &mut HostMemory) {
        for entry in &self.entries {
            entry.kernel.reference(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Recording;

    #[test]
    fn a_block_without_calls_is_none() {
        let mut recording = Recording::default();
        recording.block_from(0);
        assert!(recording.blocks().is_empty());
    }
}
