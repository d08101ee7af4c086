//! Which strategy of a kernel a device takes.

pub(in crate::gpu) mod fingerprint;
pub(in crate::gpu) mod strategies;
