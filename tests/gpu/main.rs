//! The device: what it promises, what it checks, and what it remembers of an adapter.

#[path = "../common/mod.rs"]
mod common;

mod autotune;
mod chains;
mod device;
mod doctor;
mod isolation;
mod memory;
mod user_shaders;
