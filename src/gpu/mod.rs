//! The only module that names `wgpu`: adapters, memory, shaders, and the recording of kernel calls.
//!
//! A [`Recording`] is a list of kernels with their operands. It can be compiled into a [`Program`] and run on the
//! device, run through each kernel's plain-loop reference ([`HostMemory`]), compared step by step
//! ([`first_divergence`]), counted, timed or printed.

mod adapter;
mod alias;
mod arena;
mod cgroup;
mod chain;
mod choice;
mod compare;
mod device;
mod dialect;
mod fingerprint;
mod foreign;
mod gradients;
mod host;
mod kernel;
mod memory;
mod notes;
mod pipeline;
mod probe;
mod profile;
mod program;
mod quarantine;
mod recording;
mod rehearsal;
mod shader;
mod stage;
mod submission;
mod tensor;
mod transfer;
mod tuning;

pub use adapter::{AdapterReport, list_adapters};
pub use arena::OpenArena;
pub use cgroup::free_in_groups;
pub use chain::{as_strategy as chain_as_strategy, render_chain};
pub use compare::{Comparison, Divergence, check_entry, compare_entry, compare_outputs, first_divergence};
pub use device::{Capabilities, Gpu, GpuOptions};
pub use dialect::readable;
pub use fingerprint::fingerprint;
pub use foreign::{Bound, Foreign, Resource, Samples};
pub use gradients::{Gradients, Target};
pub use host::HostMemory;
pub use kernel::{
    Access, Constant, Cost, FOLD, Kernel, Needs, Operand, Parameter, Strategy, Surplus, Tolerance, folded,
};
pub use memory::return_compilers_memory;
pub use notes::NO_FOLDER;
pub use probe::{RoofRead, widths};
pub use program::{Program, Readback, Runs};
pub use quarantine::{Quarantine, Quarantined, WHOLE_STORAGE, Wrong};
pub use recording::{Entry, Link, Recording};
pub use shader::{LIBRARY, render, signature};
pub use submission::Submission;
pub use tensor::{Element, Place, StorageKind, Tensor};
pub use tuning::{Tuned, Tuning, names, sizes};
