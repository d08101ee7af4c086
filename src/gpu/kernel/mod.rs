//! One kernel: its operands, the rendering of its shader, its pipeline, and its comparison with its
//! reference.

pub(in crate::gpu) mod compare;
pub(in crate::gpu) mod entry;
pub(in crate::gpu) mod kernel;
pub(in crate::gpu) mod pipeline;
pub(in crate::gpu) mod shader;
pub(in crate::gpu) mod wgsl;
