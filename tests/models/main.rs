//! Whole models: logits against reference implementations, and answers made from them.

#[path = "../common/mod.rs"]
mod common;

mod deterministic;
mod embed;
mod families;
mod generate;
mod golden;
mod lora;
mod recordings;
mod sampling;
mod scoring;
mod sliding_windows;
