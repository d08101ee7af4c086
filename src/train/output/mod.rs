//! The results of a run: checkpoints, exported models and adapters, metrics.

pub(in crate::train) mod checkpoint;
pub(in crate::train) mod export;
pub(in crate::train) mod export_tuned;
pub(in crate::train) mod metrics;
pub(in crate::train) mod tensor_file;
