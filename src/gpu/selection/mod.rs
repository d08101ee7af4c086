//! Which strategy of a kernel is taken: choice, quarantine, saved tuning.

pub(in crate::gpu) mod cache_file;
pub(in crate::gpu) mod fingerprint;
pub(in crate::gpu) mod quarantine;
pub(in crate::gpu) mod strategies;
pub(in crate::gpu) mod tuning;
