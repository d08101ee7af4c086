//! The sizes of a training step of `kaiwu grok`: equations of four tokens, two layers of width 128,
//! 99 words.

use super::cases::Cases;
use crate::Result;
use crate::gpu::Tensor;
use crate::kernels::{Heads, Step};

/// Equations of a step.
pub(in crate::kernels) const BATCH: usize = 512;
/// Tokens of an equation.
pub(in crate::kernels) const TOKENS: usize = 4;
/// Tokens of a step.
pub(in crate::kernels) const ROWS: usize = BATCH * TOKENS;
/// Numbers of a token.
pub(in crate::kernels) const WIDTH: usize = 128;
/// Numbers of a token between the products of a feed-forward layer.
pub(in crate::kernels) const HIDDEN: usize = 512;
/// Words of the vocabulary, and the count of logits, which is padded to fours.
pub(in crate::kernels) const WORDS: usize = 99;
pub(in crate::kernels) const LOGITS: usize = 100;
/// The most numbers that a parameter has.
pub(in crate::kernels) const NUMBERS: usize = WIDTH * HIDDEN;
/// Its attention.
pub(in crate::kernels) const HEADS: Heads = Heads {
    batch: BATCH,
    tokens: TOKENS,
    queries: TOKENS,
    n_heads: 4,
    n_kv_heads: 4,
    head_dim: 32,
};

/// Words of a step.
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
