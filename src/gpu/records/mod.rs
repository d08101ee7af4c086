//! What earlier runs found out about an adapter, in files: strategies that are wrong, and those that
//! are fastest.

pub(in crate::gpu) mod cache_file;
pub(in crate::gpu) mod known;
pub(in crate::gpu) mod quarantine;
pub(in crate::gpu) mod tuning;
