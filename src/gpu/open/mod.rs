//! Opening a device: choosing the adapter, requesting the device, and measuring its faster storage.

pub(in crate::gpu) mod open;
pub(in crate::gpu) mod probe;
