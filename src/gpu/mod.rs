//! The only module that names `wgpu`: adapters, memory, shaders, and the recording of kernel calls.
//!
//! A [`Recording`] is a list of kernels with their operands. It can be compiled into a [`Program`]
//! and run on the device, run through each kernel's plain-loop reference ([`HostMemory`]), compared
//! step by step ([`first_divergence`]), counted, timed or printed.
//!
//! Without a device, a recording runs through the references:
//!
//! ```
//! use kaiwu::gpu::{Device, Element, HostMemory, Recording, Tensor};
//! use kaiwu::kernels::Add;
//!
//! let device = Device::Reference;
//! let a = Tensor::constant(&device, "a", &[4], &[1.0, 2.0, 3.0, 4.0])?;
//! let b = Tensor::constant(&device, "b", &[4], &[10.0; 4])?;
//! let y = Tensor::zeros(&device, "y", &[4], Element::F32)?;
//! let mut recording = Recording::default();
//! recording.push("sum", Add { a, b, y: y.clone() });
//! println!("{:?}", recording.cost(0));
//!
//! let mut memory = HostMemory::default();
//! recording.run_reference(&mut memory);
//! assert_eq!(memory.f32(&y)[..], [11.0, 12.0, 13.0, 14.0]);
//! # Ok::<(), kaiwu::Error>(())
//! ```
//!
//! On an adapter, `Program::compile(&gpu, &recording)?.run(&gpu)` computes it on the device.
//! `examples/hello_kernel.rs` shows a user-defined kernel, from its shader to its check.

// adapter ← records ← device ← tensor ← kernel ← selection ← software ← program ← user_shader
// ← open: each imports only from those before it, and `tests/layers.rs` keeps it so.
mod adapter;
mod device;
mod kernel;
mod open;
mod program;
mod records;
mod selection;
mod software;
mod tensor;
mod user_shader;

pub use adapter::adapter::{AdapterReport, list_adapters};
pub use adapter::storage::StorageKind;
pub use device::cgroup::free_in_groups;
pub use device::device::{Capabilities, Gpu, GpuOptions};
pub use kernel::gradients::{Gradients, Target};
pub use kernel::kernel::{
    Access, Constant, Cost, FOLD, Kernel, Needs, Operand, Parameter, Strategy, Surplus, Tolerance,
    folded,
};
pub use kernel::recording::{Entry, Recording};
pub use kernel::shader::{LIBRARY, library, render, signature};
pub use open::probe::{RoofRead, widths};
pub use program::compare::{
    Comparison, Divergence, check_entry, compare_entry, compare_outputs, first_divergence,
};
pub use program::examine::{FusedReport, examine_fused};
pub use program::executor::{Executor, Ran};
pub use program::program::{Program, Readback};
pub use program::submission::Submission;
pub use records::cache_file::NO_FOLDER;
pub use records::quarantine::{Quarantine, Quarantined, WHOLE_STORAGE, Wrong};
pub use records::tuning::{Tuned, Tuning, names};
pub use selection::fingerprint::fingerprint;
pub use selection::strategies::sizes;
pub use software::chain::render_chain;
pub use software::pool::Pool;
pub use tensor::allocator::{Allocator, TensorSpec, Writer};
pub use tensor::host::HostMemory;
pub use tensor::tensor::{Device, Element, Tensor};
pub use user_shader::dialect::readable;
pub use user_shader::user_shader::{Bound, Resource, Samples, UserShader};
