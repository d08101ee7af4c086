//! Kernels and their shaders: each against its reference, its needs and other back-ends' compilers.

#[path = "../common/mod.rs"]
mod common;

mod can_fail;
mod deterministic;
mod portability;
mod reference;
mod strategies;
