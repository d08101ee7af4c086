//! The kernels: one file a kernel here, its shaders of the same name in `shaders/`.
//!
//! # How to add a kernel
//! 1. `shaders/<name>.wgsl`: a header with the formula, the grid and which lane owns what; then the code.
//! 2. `src/kernels/<name>.rs`: the struct, its operands and parameters, its cost, and its reference in plain loops.
//! 3. One line below, rows of awkward sizes in `src/workbench/cases.rs`, rows of real shapes in `src/workbench/shapes.rs`.

mod activate;
mod add;
mod add_positions;
mod argmax;
mod attention;
mod cache;
mod causal_attention;
mod causal_gradient;
mod cross_entropy;
mod diagonal;
mod divergence;
mod draw;
mod embed;
mod experts;
mod gather;
mod gemm;
mod group_choices;
mod input;
mod likelihood;
mod matrix;
mod merge_pieces;
mod mix_experts;
mod norm;
mod norm_gradient;
mod normal;
mod optimise;
mod pack;
mod pick;
mod pointwise;
mod product;
mod product_cost;
mod product_strategies;
mod project;
mod query_key_value;
mod roof_half;
mod roofs;
mod rotate;
mod rotate_heads;
mod route;
mod row_norm;
mod shared_row;
mod sum_rows;
mod swiglu;

pub use activate::{Activate, ActivateGradient, Activation};
pub use add::Add;
pub use add_positions::AddPositions;
pub use argmax::Argmax;
pub use attention::{Attention, Pieces};
pub use cache::{CacheType, GRANULE, LayerCache, Side};
pub use causal_attention::{CausalAttention, Heads};
pub use causal_gradient::{CausalKeyGradient, CausalQueryGradient};
pub use cross_entropy::{CrossEntropy, CrossEntropyGradient, MeanLoss, MeanLossGradient};
pub use diagonal::{Diagonal, DiagonalGradient};
pub use divergence::Divergence;
pub use draw::{Draw, Tick};
pub use embed::Embed;
pub use experts::Experts;
pub use gather::{Gather, Scatter};
pub use gemm::{Form, Gemm};
pub use group_choices::GroupChoices;
pub use input::Input;
pub use likelihood::Likelihood;
pub use matrix::{Matrix, OwnedRows, Part, RowSource, TILE};
pub use merge_pieces::MergePieces;
pub use mix_experts::MixExperts;
pub use norm::Norm;
pub use norm_gradient::{NormGainGradient, NormGradient};
pub use optimise::{Adamw, Sgd, SquareSum, Step};
pub use pack::Planes;
pub use pick::{Pick, Spread};
pub use product::{Gate, GateUp, Product};
pub use project::{Function, Project};
pub use query_key_value::QueryKeyValue;
pub use roof_half::RoofMultiplyAddHalf;
pub use roofs::{RoofBarrier, RoofCopy, RoofMultiplyAdd, RoofRead};
pub use rotate::Rotate;
pub use rotate_heads::RotateHeads;
pub use route::Route;
pub use row_norm::RowNorm;
pub use sum_rows::SumRows;
pub use swiglu::{Swiglu, SwigluGradient};

/// Every kernel, by the name its struct, tests, benches and profile rows use.
pub const REGISTRY: &[&str] = &[
    "activate",
    "activate_gradient",
    "adamw",
    "add",
    "add_positions",
    "argmax",
    "attention",
    "causal_attention",
    "causal_key_gradient",
    "causal_query_gradient",
    "cross_entropy",
    "cross_entropy_gradient",
    "diagonal",
    "diagonal_gradient",
    "divergence",
    "draw",
    "embed",
    "gate_up",
    "gather",
    "gemm",
    "group_choices",
    "likelihood",
    "mean_loss",
    "mean_loss_gradient",
    "merge_pieces",
    "mix_experts",
    "norm",
    "norm_gain_gradient",
    "norm_gradient",
    "pick",
    "product",
    "project",
    "query_key_value",
    "roof_barrier",
    "roof_copy",
    "roof_multiply_add",
    "roof_multiply_add_half",
    "roof_read",
    "rotate",
    "rotate_heads",
    "route",
    "row_norm",
    "scatter",
    "sgd",
    "spread",
    "square_sum",
    "sum_rows",
    "swiglu",
    "swiglu_gradient",
    "tick",
];
