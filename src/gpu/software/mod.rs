//! Support for one software driver: lavapipe, Mesa's Vulkan on the CPU.
//!
//! Machines without a GPU, such as those of continuous integration, mostly have this driver, and it
//! is not fast where a GPU is. Measured with Mesa 22.3 and 25.0 on two cores:
//!
//! - A texel of a **storage texture** is read 5 to 20 times as fast as 16 bytes of a storage
//!   buffer, which are a loop over lanes; but it is written at five times the price of words in a
//!   buffer.
//! - **A dispatch** wakes the driver's threads and joins them, which costs as much as a small
//!   matrix product: 16 to 47 µs, 150 times a token.
//! - **Registers** are fast and workgroup memory is not: a workgroup is best one subgroup of eight
//!   lanes, and barriers are best avoided.
//! - **Compiling** happens at the first dispatch, takes up to seconds and tens of MiB, and is
//!   repeated for each combination of bound textures whose sides are and are not powers of two.
//!
//! Kernels offer strategies for such adapters as for others, by
//! [`Capabilities::software`](crate::gpu::Capabilities). What no strategy can do is done here:
//!
//! | file | what it does about it |
//! |---|---|
//! | `alias` | a texture and a buffer over one memory: read as one, written as the other |
//! | `pool` | many such tensors in one allocation, so that one binding reaches all layers |
//! | `chain`, `stage` | the calls of several layers as one dispatch with barriers in between |
//! | `barrier`, `backoff` | how long workers may wait, and the pause after they missed each other |
//! | `warm_up` | compiles pipelines before they are used, and before weights take the memory |
//! | `memory` | gives back what the compiler took |
//!
//! Other code uses this module in four ways. `open` asks for the adapter's textures
//! (`alias::make_textures`) and for the count of workgroups that run at the same time. `program`
//! asks for the chains of a recording, and repeats the runs in which workers missed each other: see
//! [`crate::gpu::Executor`]. Code that makes similar tensors for each layer passes a
//! [`Pool`](crate::gpu::Pool). Code that is about to make a large allocation calls
//! `Gpu::trim_memory`. On other adapters each of these does what WebGPU does by default. Nothing
//! else imports from here; `tests/layers.rs` keeps it so.
//!
//! Some of these properties are promised by no specification: each core's thread runs one workgroup
//! after another, a dispatch ends before the next one begins, a linear image is stored as its rows,
//! and a barrier changes no texel. So all of it is for this driver only (`adapter::is_lavapipe`),
//! is probed or checked where it can be, and can be switched off:
//! [`GpuOptions::without_aliases`](crate::gpu::GpuOptions::without_aliases), and
//! [`GpuOptions::workers`](crate::gpu::GpuOptions::workers) of 1.

pub(in crate::gpu) mod alias;
pub(in crate::gpu) mod backoff;
pub(in crate::gpu) mod barrier;
pub(in crate::gpu) mod chain;
pub(in crate::gpu) mod memory;
pub(in crate::gpu) mod pool;
pub(in crate::gpu) mod stage;
pub(in crate::gpu) mod warm_up;
