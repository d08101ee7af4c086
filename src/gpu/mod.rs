//! The only module that names `wgpu`: adapters, memory, shaders, and the recording of kernel calls.
//!
//! A [`Recording`] is a list of kernels with their operands. It can be compiled into a [`Program`]
//! and run on the device, run through each kernel's plain-loop reference ([`HostMemory`]), compared
//! step by step ([`first_divergence`]), counted, timed or printed.

mod device;
mod kernel;
mod recording;
mod selection;
mod software;
mod tensor;
mod user_shader;
pub use device::adapter::{AdapterReport, list_adapters};
pub use device::cgroup::free_in_groups;
pub use device::device::{Capabilities, Gpu, GpuOptions};
pub use device::memory::return_compilers_memory;
pub use device::probe::{RoofRead, widths};
pub use kernel::compare::{
    Comparison, Divergence, check_entry, compare_entry, compare_outputs, first_divergence,
};
pub use kernel::kernel::{
    Access, Constant, Cost, FOLD, Kernel, Needs, Operand, Parameter, Strategy, Surplus, Tolerance,
    folded,
};
pub use kernel::shader::{LIBRARY, library, render, signature};
pub use recording::gradients::{Gradients, Target};
pub use recording::program::{Program, Readback, Runs};
pub use recording::recording::{Entry, Recording};
pub use recording::submission::Submission;
pub use selection::cache_file::NO_FOLDER;
pub use selection::fingerprint::fingerprint;
pub use selection::quarantine::{Quarantine, Quarantined, WHOLE_STORAGE, Wrong};
pub use selection::tuning::{Tuned, Tuning, names, sizes};
pub use software::arena::OpenArena;
pub use software::chain::{as_strategy as chain_as_strategy, render_chain};
pub use tensor::host::HostMemory;
pub use tensor::tensor::{Device, Element, StorageKind, Tensor};
pub use user_shader::dialect::readable;
pub use user_shader::user_shader::{Bound, Resource, Samples, UserShader};
