//! Kernels in which each lane computes its own texels of the result.

pub(in crate::kernels) mod activation;
pub(in crate::kernels) mod normal;
pub(in crate::kernels) mod pointwise;

pub use activation::Activation;

kernels! {
    activate::Activate,
    activate_backward::ActivateBackward,
    add::Add,
    swiglu::Swiglu,
    swiglu_backward::SwigluBackward,
}
