//! Lists of kernel calls, and their readings: programs, submissions, gradients, profiles.

pub(in crate::gpu) mod examine;
pub(in crate::gpu) mod executor;
pub(in crate::gpu) mod fused;
pub(in crate::gpu) mod gradients;
pub(in crate::gpu) mod profile;
pub(in crate::gpu) mod program;
pub(in crate::gpu) mod recording;
pub(in crate::gpu) mod submission;
