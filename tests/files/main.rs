//! Files of models: read, written, converted, and damaged.

#[path = "../common/mod.rs"]
mod common;

mod blocks;
mod config;
mod convert;
mod damaged;
mod folder;
mod gguf;
mod quantize;
