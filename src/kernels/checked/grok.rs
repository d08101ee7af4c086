//! The sizes of a training step of `kaiwu grok`: equations of four tokens, two layers of width 128,
//! and a vocabulary of 99.

use super::cases::Cases;
use crate::Result;
use crate::gpu::Tensor;
use crate::kernels::{Heads, Step};

/// Equations in a step.
pub(in crate::kernels) const BATCH: usize = 512;
/// Tokens in an equation.
pub(in crate::kernels) const TOKENS: usize = 4;
/// Tokens in a step.
pub(in crate::kernels) const ROWS: usize = BATCH * TOKENS;
/// Width of the model.
pub(in crate::kernels) const WIDTH: usize = 128;
/// Inner width of the feed-forward layer.
pub(in crate::kernels) const HIDDEN: usize = 512;
/// Vocabulary size, and the number of logits, padded to a multiple of four.
pub(in crate::kernels) const WORDS: usize = 99;
pub(in crate::kernels) const LOGITS: usize = 100;
/// Numbers in the largest parameter.
pub(in crate::kernels) const NUMBERS: usize = WIDTH * HIDDEN;
/// Sizes of the attention.
pub(in crate::kernels) const HEADS: Heads = Heads {
    batch: BATCH,
    tokens: TOKENS,
    queries: TOKENS,
    n_heads: 4,
    n_kv_heads: 4,
    head_dim: 32,
};

/// Made-up token ids of a step.
pub(in crate::kernels) fn ids(cases: &mut Cases) -> Result<Tensor> {
    let ids: Vec<u32> = (0..ROWS).map(|n| (n * 7919 % WORDS) as u32).collect();
    cases.words("ids", &ids)
}

/// The first step of a schedule, without clipping.
pub(in crate::kernels) fn step(cases: &mut Cases) -> Result<Step> {
    let schedule = [1e-3, 1.0, 1.0, 0.0f32, 0.0, 0.0, 0.0, 0.0].map(f32::to_bits);
    Ok(Step {
        clock: cases.words("clock", &[0])?,
        schedule: cases.words("schedule", &schedule)?,
        clip: None,
    })
}
