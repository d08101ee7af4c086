//! The only module that names `wgpu`: adapters, memory, shaders, and the recording of kernel calls.
//!
//! A [`Recording`] is a list of kernels with their operands. It can be compiled into a [`Program`] and run on the
//! device, run through each kernel's plain-loop reference ([`HostMemory`]), compared step by step
//! ([`first_divergence`]), counted, timed or printed.

mod adapter;
mod compare;
mod device;
mod gradients;
mod host;
mod kernel;
mod probe;
mod program;
mod quarantine;
mod recording;
mod shader;
mod submission;
mod tensor;
mod transfer;

pub use adapter::{AdapterReport, list_adapters};
pub use compare::{Comparison, Divergence, check_entry, compare_entry, first_divergence};
pub use device::{Capabilities, Gpu, GpuOptions};
pub use gradients::{Gradients, Target};
pub use host::HostMemory;
pub use kernel::{Access, Constant, Cost, Kernel, Needs, Operand, Parameter, Strategy, Tolerance};
pub use program::{Program, Readback};
pub use quarantine::{Quarantine, Quarantined};
pub use recording::{Entry, Recording};
pub use shader::{LIBRARY, render, signature};
pub use submission::Submission;
pub use tensor::{Element, Place, StorageKind, Tensor};
