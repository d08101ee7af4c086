//! Files with what earlier runs found out about an adapter: wrong strategies and the fastest ones.

pub(in crate::gpu) mod cache_file;
pub(in crate::gpu) mod known;
pub(in crate::gpu) mod quarantine;
pub(in crate::gpu) mod tuning;
