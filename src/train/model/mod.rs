//! Trainable models: the forward pass in f32, loading of existing models, and low-rank adapters.

pub(in crate::train) mod config;
pub(in crate::train) mod forward;
pub(in crate::train) mod low_rank;
pub(in crate::train) mod network;
pub(in crate::train) mod parameters;
