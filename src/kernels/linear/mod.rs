//! Matrix products: one token or many by packed weights, with what follows them fused in, and
//! products of f32 matrices.

mod gemm;
mod input;
mod linear;
pub(in crate::kernels) mod matmul;
pub(in crate::kernels) mod matmul_cost;
mod matmul_strategies;
pub(in crate::kernels) mod matrix;
mod qkv_rope_cache;

pub use gemm::{Form, Gemm};
pub use input::Input;
pub use linear::{Function, Linear};
pub use matmul::{Gate, GateUp, Matmul};
pub use matrix::{Matrix, OwnedRows, Part, RowSource, TILE};
pub use qkv_rope_cache::QkvRopeCache;
