//! An open device: its capabilities, memory, textures and compiled pipelines.

pub(in crate::gpu) mod cgroup;
pub(in crate::gpu) mod device;
pub(in crate::gpu) mod memory;
pub(in crate::gpu) mod pipeline;
pub(in crate::gpu) mod textures;
