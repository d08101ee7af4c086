//! Recordings compiled for a device: run, timed, repeated, and compared with their references.

pub(in crate::gpu) mod compare;
pub(in crate::gpu) mod examine;
pub(in crate::gpu) mod executor;
pub(in crate::gpu) mod fused;
pub(in crate::gpu) mod profile;
pub(in crate::gpu) mod program;
pub(in crate::gpu) mod submission;
