//! Kernel calls: their operands, the rendering of their shaders, lists of them, and the lists of
//! their derivatives.

pub(in crate::gpu) mod binding;
pub(in crate::gpu) mod entry;
pub(in crate::gpu) mod gradients;
pub(in crate::gpu) mod kernel;
pub(in crate::gpu) mod recording;
pub(in crate::gpu) mod shader;
pub(in crate::gpu) mod wgsl;
