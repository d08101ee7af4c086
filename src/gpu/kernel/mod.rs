//! Kernel calls: their operands, rendered shaders, recordings of several calls, and gradients.

pub(in crate::gpu) mod binding;
pub(in crate::gpu) mod entry;
pub(in crate::gpu) mod gradients;
pub(in crate::gpu) mod kernel;
pub(in crate::gpu) mod recording;
pub(in crate::gpu) mod shader;
pub(in crate::gpu) mod wgsl;
