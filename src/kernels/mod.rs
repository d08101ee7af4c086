//! The kernels: one file a kernel here, its shaders of the same name in `shaders/`.
//!
//! # How to add a kernel
//! 1. `shaders/<name>.wgsl`: a header with the formula, the grid and which lane owns what; then the code.
//! 2. `src/kernels/<name>.rs`: the struct, its operands and parameters, its cost, and its reference in plain loops.
//! 3. One line below, rows of awkward sizes in `src/workbench/cases.rs`, rows of real shapes in `src/workbench/shapes.rs`.

mod add_positions;
mod argmax;
mod attention;
mod cache;
mod divergence;
mod embed;
mod likelihood;
mod matrix;
mod norm;
mod pack;
mod product;
mod product_cost;
mod product_strategies;
mod project;
mod query_key_value;
mod roof_half;
mod roofs;
mod rotate_heads;

pub use add_positions::AddPositions;
pub use argmax::Argmax;
pub use attention::Attention;
pub use divergence::Divergence;
pub use embed::Embed;
pub use likelihood::Likelihood;
pub use matrix::{Matrix, OwnedRows, Part, RowSource};
pub use norm::Norm;
pub use pack::Planes;
pub use product::{Gate, GateUp, Input, Product};
pub use project::{Function, Project};
pub use query_key_value::QueryKeyValue;
pub use roof_half::RoofMultiplyAddHalf;
pub use roofs::{RoofBarrier, RoofCopy, RoofMultiplyAdd, RoofRead};
pub use rotate_heads::RotateHeads;

/// Every kernel, by the name its struct, tests, benches and profile rows use.
pub const REGISTRY: &[&str] = &[
    "add_positions",
    "argmax",
    "attention",
    "divergence",
    "embed",
    "gate_up",
    "likelihood",
    "norm",
    "product",
    "project",
    "query_key_value",
    "roof_barrier",
    "roof_copy",
    "roof_multiply_add",
    "roof_multiply_add_half",
    "roof_read",
    "rotate_heads",
];
