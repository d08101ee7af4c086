//! What learns: the forward pass in f32, a model that is there already, and low-rank adapters.

pub(in crate::train) mod config;
pub(in crate::train) mod forward;
pub(in crate::train) mod low_rank;
pub(in crate::train) mod network;
pub(in crate::train) mod parameters;
