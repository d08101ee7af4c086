//! Which adapters there are, what they report, and which one is taken.

pub(in crate::gpu) mod adapter;
pub(in crate::gpu) mod storage;
