//! The forward pass as a list of kernel calls. Read `pass.rs` first: it is the model, a kernel a
//! line.

mod activations;
mod mixture;
mod pass;
mod products;

pub(in crate::model) use activations::Activations;
pub(in crate::model) use pass::Pass;
