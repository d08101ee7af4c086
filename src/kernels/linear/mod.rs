//! Matrix products: one token or many by packed weights, with what follows them fused in, and
//! products of f32 matrices.

mod gemm;
mod input;
pub(in crate::kernels) mod matrix;
mod pack;
pub(in crate::kernels) mod product;
pub(in crate::kernels) mod product_cost;
mod product_strategies;
mod project;
mod query_key_value;

pub use gemm::{Form, Gemm};
pub use input::Input;
pub use matrix::{Matrix, OwnedRows, Part, RowSource, TILE};
pub use pack::Planes;
pub use product::{Gate, GateUp, Product};
pub use project::{Function, Project};
pub use query_key_value::QueryKeyValue;
