//! What docs/adding.md says of formats, families and sampler steps, shown on toys that are defined
//! here, outside the crate, and on the tree itself.

mod families;
mod filters;
mod formats;
