//! Shaders of a user's own: what they bind, and what of WebGPU's texts is left out before naga.

pub(in crate::gpu) mod dialect;
pub(in crate::gpu) mod user_shader;
