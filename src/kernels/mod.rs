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
    Attention, CacheType, CausalAttention, CausalKeyBackward, CausalQueryBackward, GRANULE, Heads,
    LayerCache, MergePieces, Pieces, QkNormRope, Rope, Side,
};
pub use linear::{
    Form, Function, Gate, GateUp, Gemm, Input, Linear, Matmul, Matrix, OwnedRows, Part,
    QkvRopeCache, RowSource, TILE,
};
pub use lookup::{AddPositions, Embed, Gather, Scatter};
pub use loss::{
    CrossEntropy, CrossEntropyBackward, Divergence, MeanLoss, MeanLossBackward, TokenLogProb,
};
pub use moe::{Experts, GroupChoices, MixExperts, Route};
pub use pointwise::{Activate, ActivateBackward, Activation, Add, Swiglu, SwigluBackward};
pub use roofline::{RoofBarrier, RoofCopy, RoofMultiplyAdd, RoofMultiplyAddHalf, RoofRead};
pub use rows::{Argmax, Norm, NormBackward, NormGainBackward, RowNorm, SumRows};
pub use training::{
    Adamw, BlockDiagonal, BlockDiagonalBackward, IncrementStep, SampleBatch, Sgd, SliceLast,
    SliceLastBackward, SquareSum, Step,
};

/// Every kernel, by the name its struct, tests, benches and profile rows use.
pub const REGISTRY: &[&str] = &[
    "activate",
    "activate_backward",
    "adamw",
    "add",
    "add_positions",
    "argmax",
    "attention",
    "block_diagonal",
    "block_diagonal_backward",
    "causal_attention",
    "causal_key_backward",
    "causal_query_backward",
    "cross_entropy",
    "cross_entropy_backward",
    "divergence",
    "embed",
    "gate_up",
    "gather",
    "gemm",
    "group_choices",
    "increment_step",
    "linear",
    "matmul",
    "mean_loss",
    "mean_loss_backward",
    "merge_pieces",
    "mix_experts",
    "norm",
    "norm_backward",
    "norm_gain_backward",
    "qk_norm_rope",
    "qkv_rope_cache",
    "roof_barrier",
    "roof_copy",
    "roof_multiply_add",
    "roof_multiply_add_half",
    "roof_read",
    "rope",
    "route",
    "row_norm",
    "sample_batch",
    "scatter",
    "sgd",
    "slice_last",
    "slice_last_backward",
    "square_sum",
    "sum_rows",
    "swiglu",
    "swiglu_backward",
    "token_log_prob",
];
