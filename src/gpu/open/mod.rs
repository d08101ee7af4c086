//! Opening a device: the adapter is chosen, a device asked for, and its faster storage found out.

pub(in crate::gpu) mod open;
pub(in crate::gpu) mod probe;
