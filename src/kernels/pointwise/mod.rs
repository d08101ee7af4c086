//! Kernels whose lanes own a texel each of the result.

mod activate;
pub(in crate::kernels) mod add;
pub(in crate::kernels) mod normal;
pub(in crate::kernels) mod pointwise;
mod swiglu;

pub use activate::{Activate, ActivateBackward, Activation};
pub use add::Add;
pub use swiglu::{Swiglu, SwigluBackward};
