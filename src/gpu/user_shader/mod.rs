//! Shaders supplied by the user: their bindings, and WGSL that naga does not read.

pub(in crate::gpu) mod dialect;
pub(in crate::gpu) mod user_shader;
