//! What is there for one software driver: lavapipe, Mesa's Vulkan on the CPU.
//!
//! Machines without a GPU, such as those of continuous integration, mostly have this driver, and
//! what it rewards is not what a GPU rewards. Measured with Mesa 22.3 and 25.0 on two cores:
//!
//! - A texel of a **storage texture** is read 5 to 20 times as fast as 16 bytes of a storage buffer,
//!   which are a loop over lanes; but it is written at five times the price of words in a buffer.
//! - **A dispatch** wakes the driver's threads and joins them, which costs as much as a small
//!   product: 16 to 47 µs, 150 times a token.
//! - **Registers** are fast and memory that a workgroup shares is not: a workgroup is best one
//!   subgroup of eight lanes, and barriers are best left out.
//! - **Compiling** happens at the first dispatch, takes up to seconds and tens of MiB, and is
//!   repeated for each combination of bound textures whose sides are and are not powers of two.
//!
//! Kernels offer strategies for such adapters like for others, by
//! [`Capabilities::software`](crate::gpu::Capabilities). What no strategy can do is here:
//!
//! | file | what it does about it |
//! |---|---|
//! | `alias` | a texture and a buffer over one memory: tensors are read as the former, written as the latter |
//! | `pool` | many such tensors in one memory, so that one binding reaches those of all layers |
//! | `chain`, `stage` | the calls of several layers as one dispatch, whose workgroups wait for each other |
//! | `barrier`, `backoff` | how long they may wait, and when they are left alone because they missed each other |
//! | `warm_up` | compiles pipelines before they are used, and before weights take the memory |
//! | `memory` | gives back what the compiler took |
//!
//! Other code reaches this in four ways. `open` asks for the adapter's textures
//! (`alias::make_textures`) and for the count of workgroups that run at the same time. `program` asks
//! for the chains of a recording, and runs again what they missed: see [`crate::gpu::Executor`].
//! Whoever makes tensors that are alike for each layer passes a [`Pool`](crate::gpu::Pool). Whoever
//! is about to allocate much calls `Gpu::trim_memory`. On other adapters each of these does what
//! WebGPU does anyway. Nothing else imports from here; `tests/layers.rs` keeps it so.
//!
//! Some of what is taken for granted is promised by no specification: a thread a core takes one
//! workgroup after the other, a dispatch is over before the next one begins, a linear image is its
//! rows, and a barrier touches no texel. So all of it is for this driver only
//! (`adapter::is_lavapipe`), is probed or checked where it can be, and can be switched off:
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
