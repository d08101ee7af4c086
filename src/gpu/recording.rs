//! The recording: a list of kernel calls, readable in many ways.

use super::host::HostMemory;
use super::kernel::{Cost, Kernel};
use std::ops::Range;
use std::sync::Arc;

/// One kernel call with the label people see.
#[derive(Clone)]
pub struct Entry {
    /// For instance "blk.3.attn_output".
    pub label: String,
    /// The call.
    pub kernel: Arc<dyn Kernel>,
}

/// A list of kernel calls, in order.
#[derive(Clone, Default)]
pub struct Recording {
    entries: Vec<Entry>,
    chains: Vec<Range<usize>>,
}

impl Recording {
    /// Appends a call.
    pub fn push(&mut self, label: impl Into<String>, kernel: impl Kernel + 'static) {
        self.entries.push(Entry { label: label.into(), kernel: Arc::new(kernel) });
    }

    /// Appends the calls of another recording.
    pub fn extend(&mut self, other: &Self) {
        let first = self.entries.len();
        self.chains.extend(other.chains.iter().map(|chain| first + chain.start..first + chain.end));
        self.entries.extend_from_slice(&other.entries);
    }

    /// Marks the calls from number `first` on: a device may run them as one dispatch.
    pub fn chain_from(&mut self, first: usize) {
        self.chains.push(first..self.entries.len());
    }

    /// The calls that may be one dispatch, in order.
    pub fn chains(&self) -> &[Range<usize>] {
        &self.chains
    }

    /// The calls.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Bytes and operations of all calls together, with `context` tokens in the cache.
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
