//! An open device: what it can do, its memory, how its textures are made, and its compiled
//! pipelines.

pub(in crate::gpu) mod cgroup;
pub(in crate::gpu) mod device;
pub(in crate::gpu) mod memory;
pub(in crate::gpu) mod pipeline;
pub(in crate::gpu) mod textures;
