//! Adapters and devices: which is taken, what it can do, and how much memory it has.

pub(in crate::gpu) mod adapter;
pub(in crate::gpu) mod cgroup;
pub(in crate::gpu) mod device;
pub(in crate::gpu) mod memory;
pub(in crate::gpu) mod probe;
pub(in crate::gpu) mod textures;
