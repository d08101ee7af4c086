//! Memory on a device or on the host, and transfers to and from it.

pub(in crate::gpu) mod allocator;
pub(in crate::gpu) mod host;
pub(in crate::gpu) mod tensor;
pub(in crate::gpu) mod transfer;
