//! Training: derivatives, optimisers and whole runs.

#[path = "../common/mod.rs"]
mod common;

mod finetune;
mod gradients;
mod grok;
mod text;
mod trainer;
