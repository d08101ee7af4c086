//! The kernels: one file a kernel, its shaders of the same name in the same folder of `shaders/`.
//! `docs/adding.md` says how to add one.

mod attention;
mod linear;
mod lookup;
mod loss;
mod moe;
mod pointwise;
mod roofline;
mod rows;
mod training;

pub use attention::{
    Attention, CacheType, CausalAttention, CausalKeyGradient, CausalQueryGradient, GRANULE, Heads,
    LayerCache, MergePieces, Pieces, Rotate, RotateHeads, Side,
};
pub use linear::{
    Form, Function, Gate, GateUp, Gemm, Input, Matrix, OwnedRows, Part, Planes, Product, Project,
    QueryKeyValue, RowSource, TILE,
};
pub use lookup::{AddPositions, Embed, Gather, Scatter};
pub use loss::{
    CrossEntropy, CrossEntropyGradient, Divergence, Likelihood, MeanLoss, MeanLossGradient,
};
pub use moe::{Experts, GroupChoices, MixExperts, Route};
pub use pointwise::{Activate, ActivateGradient, Activation, Add, Swiglu, SwigluGradient};
pub use roofline::{RoofBarrier, RoofCopy, RoofMultiplyAdd, RoofMultiplyAddHalf, RoofRead};
pub use rows::{Argmax, Norm, NormGainGradient, NormGradient, RowNorm, SumRows};
pub use training::{
    Adamw, Diagonal, DiagonalGradient, Draw, Pick, Sgd, Spread, SquareSum, Step, Tick,
};

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
