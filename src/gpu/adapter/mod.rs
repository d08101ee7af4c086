//! Lists the adapters of the machine, reports what they can do, and chooses one.

pub(in crate::gpu) mod adapter;
pub(in crate::gpu) mod storage;
