//! The shape of a transformer to be trained.

use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// What is normalised before each block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Mean and deviation.
    LayerNorm,
    /// Deviation from zero.
    RmsNorm,
}

/// What is between the two matrices of a feed-forward block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feedforward {
    /// max(x, 0)
    Relu,
    /// GELU in its tanh form
    Gelu,
    /// silu(gate) * up
    Swiglu,
}

/// How the model knows places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A vector for each place, added to the embedding.
    Learned,
    /// Rotation of queries and keys.
    Rotary,
}

/// A pre-norm, decoder-only transformer without biases in its matrices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Tokens V.
    pub vocabulary: usize,
    /// Places of a sequence T.
    pub context: usize,
    /// Layers.
    pub layers: usize,
    /// Width C.
    pub width: usize,
    /// Query heads H.
    pub heads: usize,
    /// Key heads, a divisor of H.
    pub key_heads: usize,
    /// Width of the feed-forward blocks.
    pub hidden: usize,
    /// Norms.
    pub norm: NormKind,
    /// Whether LayerNorms have a bias.
    pub norm_bias: bool,
    /// Feed-forward blocks.
    pub feedforward: Feedforward,
    /// Places.
    pub positions: Positions,
    /// Whether the embedding is the output matrix too.
    pub tied: bool,
    /// Standard deviation of embeddings at the start.
    pub embedding_deviation: f32,
}

impl Shape {
    /// The network of the grokking paper (Power et al. 2022, arXiv:2201.02177): ReLU, LayerNorm, learned places.
    pub fn grokking(vocabulary: usize, context: usize, layers: usize, width: usize, heads: usize) -> Self {
        Self {
            vocabulary,
            context,
            layers,
            width,
            heads,
            key_heads: heads,
            hidden: 4 * width,
            norm: NormKind::LayerNorm,
            norm_bias: true,
            feedforward: Feedforward::Relu,
            positions: Positions::Learned,
            tied: false,
            embedding_deviation: 1.0,
        }
    }

    /// Width of a head.
    pub fn head(&self) -> usize {
        self.width / self.heads
    }

    /// Rows of the embedding: texels hold four numbers.
    pub fn padded_vocabulary(&self) -> usize {
        self.vocabulary.next_multiple_of(4)
    }

    /// Refuses what the kernels cannot do.
    ///
    /// # Errors
    /// Which number is wrong, and what it must be.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("vocabulary", self.vocabulary, 1 << 17),
            ("context", self.context, 8192),
            ("layers", self.layers, 256),
            ("width", self.width, 1 << 14),
            ("heads", self.heads, 256),
            ("key_heads", self.key_heads, 256),
            ("hidden", self.hidden, 1 << 16),
        ];
        for (name, count, most) in counts {
            if count == 0 || count > most {
                return Err(Error::Model(format!("{name} is {count}; it must be from 1 to {most}")));
            }
        }
        let wrong = |what: String| Err(Error::Model(what));
        if !self.width.is_multiple_of(4 * self.heads) {
            let heads = self.heads;
            return wrong(format!("width {} is no multiple of 4 * {heads} heads", self.width));
        }
        if !self.heads.is_multiple_of(self.key_heads) {
            return wrong(format!("{} heads cannot share {} key heads", self.heads, self.key_heads));
        }
        if !self.hidden.is_multiple_of(4) {
            return wrong(format!("hidden {} is no multiple of 4", self.hidden));
        }
        if !(self.embedding_deviation > 0.0 && self.embedding_deviation.is_finite()) {
            return wrong(format!("embedding_deviation {} is not above 0", self.embedding_deviation));
        }
        Ok(())
    }
}
