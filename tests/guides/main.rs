//! What docs/adding.md says of kernels, formats, families and sampler steps, shown on toys that are
//! defined here, outside the crate, and on the tree itself.

#[path = "../common/mod.rs"]
mod common;

mod families;
mod filters;
mod formats;
mod kernels;
