//! The recording: a list of kernel calls, readable in many ways.

use crate::gpu::kernel::kernel::{Cost, Kernel};
use crate::gpu::tensor::host::HostMemory;
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
    chains: Vec<Link>,
}

/// Calls that a device may run as one dispatch, alone or with those that follow.
#[derive(Debug, Clone)]
pub struct Link {
    /// The numbers of the calls.
    pub calls: Range<usize>,
    /// Turns of loops that one of two workers takes for them: drivers end a shader's loops after so
    /// many.
    pub turns: usize,
}

impl Recording {
    /// Appends a call.
    pub fn push(&mut self, label: impl Into<String>, kernel: impl Kernel + 'static) {
        self.entries.push(Entry { label: label.into(), kernel: Arc::new(kernel) });
    }

    /// Appends the calls of another recording.
    pub fn extend(&mut self, other: &Self) {
        let first = self.entries.len();
        self.chains.extend(other.chains.iter().map(|Link { calls, turns }| Link {
            calls: first + calls.start..first + calls.end,
            turns: *turns,
        }));
        self.entries.extend_from_slice(&other.entries);
    }

    /// Marks the calls from number `first` on: a device may run them as one dispatch, and with the
    /// calls that are marked next, if those do the same with other tensors. See [`Link::turns`].
    pub fn chain_from(&mut self, first: usize, turns: usize) {
        self.chains.push(Link { calls: first..self.entries.len(), turns });
    }

    /// The calls that may be one dispatch, in order.
    pub fn chains(&self) -> &[Link] {
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
