//! Matrix products: activations with packed weights, with the following operations fused in, and
//! products of f32 matrices.

pub(in crate::kernels) mod input;
pub(in crate::kernels) mod made_up;
pub(in crate::kernels) mod matmul_cost;
pub(in crate::kernels) mod matmul_strategies;
pub(in crate::kernels) mod matrix;

pub use gate_up::Gate;
pub use gemm::Form;
pub use input::Input;
pub use linear::Function;
pub use matrix::{Matrix, OwnedRows, Part, RowSource, TILE};

kernels! {
    gate_up::GateUp,
    gemm::Gemm,
    linear::Linear,
    matmul::Matmul,
    qkv_rope_cache::QkvRopeCache,
}
