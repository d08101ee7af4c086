//! Which strategy of a kernel is taken: choice, quarantine, saved tuning.

pub(in crate::gpu) mod choice;
pub(in crate::gpu) mod fingerprint;
pub(in crate::gpu) mod notes;
pub(in crate::gpu) mod quarantine;
pub(in crate::gpu) mod tuning;
