//! Which strategy of a kernel a device uses.

pub(in crate::gpu) mod fingerprint;
pub(in crate::gpu) mod strategies;
