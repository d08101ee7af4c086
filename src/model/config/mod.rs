//! What a model's file or folder says about its shape.

mod fields;
mod gguf;
mod harmless;
mod hugging_face;
mod keys;

use super::architecture::Architecture;
use super::rope::{RopeParameters, Scaling};
use crate::Result;
use crate::format::{Gguf, Source};
use crate::kernels::{Function, Route};

/// Shape and constants of a model. T tokens, C width, H heads, K key heads, D head width, F hidden
/// width, L layers, V vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The family.
    pub architecture: &'static Architecture,
    /// C.
    pub hidden_size: usize,
    /// F.
    pub intermediate_size: usize,
    /// L.
    pub n_layers: usize,
    /// H.
    pub n_heads: usize,
    /// K, a divisor of H.
    pub n_kv_heads: usize,
    /// D.
    pub head_dim: usize,
    /// V.
    pub vocab_size: usize,
    /// Longest context the model was made for.
    pub max_context: usize,
    /// Epsilon of the norms.
    pub norm_eps: f32,
    /// Rotary embeddings; layers choose among them.
    pub ropes: Vec<RopeParameters>,
    /// What differs between layers `[L]`.
    pub layer_types: Vec<LayerType>,
    /// Factor of the embeddings.
    pub embedding_scale: f32,
    /// What a feed-forward part without a gate goes through.
    pub activation: Function,
    /// Factor of the attention scores.
    pub attention_scale: f32,
    /// Scores are kept within this: cap * tanh(score / cap).
    pub attention_cap: Option<f32>,
    /// And so are logits.
    pub logits_cap: Option<f32>,
    /// Whether the embedding table is the output matrix, too; `None` if the absence of the latter
    /// says so.
    pub tied: Option<bool>,
    /// Products for queries, keys and values have biases.
    pub qkv_bias: bool,
    /// The product after attention has one.
    pub output_bias: bool,
    /// Those of the feed-forward part have.
    pub ffn_bias: bool,
    /// Attention scores of layer i are divided by i + 1, too.
    pub scores_by_layer: bool,
    /// Of a mixture of experts.
    pub experts: Option<Experts>,
}

/// A mixture of experts: feed-forward parts of which each token goes through a few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub n_experts: usize,
    /// How many a token goes through.
    pub n_experts_used: usize,
    /// Hidden width of each.
    pub intermediate_size: usize,
    /// Whether the shares of the chosen ones add up to 1, and not those of all.
    pub among_chosen: bool,
    /// Whether a layer has experts, and not one feed-forward part for all tokens `[L]`.
    pub layers: Vec<bool>,
}

/// What a layer attends to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerType {
    /// A token sees so many, itself included; `None` for all before it.
    pub window: Option<usize>,
    /// Which of the rotary embeddings.
    pub rope: usize,
}

/// Why a field or key is not let pass that somebody asks to be.
const HAS_AN_EFFECT: &str =
    "is known to this version and has an effect; only what is refused can be ignored";

/// Sizes no model has, so that products of them cannot overflow.
const LARGEST: usize = 1 << 24;
/// Nor so many layers.
const MOST_LAYERS: usize = 1 << 12;

/// Why attention cannot be computed with so many heads of such a width, in words, if it cannot.
pub fn unsupported_heads(heads: usize, head: usize) -> Option<String> {
    let fits = head.is_multiple_of(8) && head <= 256 && (heads * head).is_multiple_of(32);
    (!fits).then(|| {
        format!(
            "{heads} heads of width {head} are not supported: each must be 8 to 256 wide, in \
             eights, and all together a multiple of 32"
        )
    })
}

impl Config {
    /// Reads it from a file or folder.
    ///
    /// # Errors
    /// An unknown architecture, a missing or absurd value, or a setting that changes the result and
    /// is not supported.
    pub fn from_source(source: &Source) -> Result<Self> {
        let config = match source {
            Source::Gguf(gguf) => gguf::read(gguf)?,
            Source::Folder(folder) => hugging_face::read(folder)?,
        };
        match config.wrong() {
            Some(message) => Err(source.path_error(message)),
            None => Ok(config.stretched()),
        }
    }

    /// Reads it from a GGUF file.
    ///
    /// # Errors
    /// As [`Config::from_source`].
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let config = gguf::read(gguf)?;
        match config.wrong() {
            Some(message) => Err(gguf.path_error(message)),
            None => Ok(config.stretched()),
        }
    }

    /// With the context that YaRN stretches to: people add its settings to a file, and leave the
    /// context as it was.
    fn stretched(mut self) -> Self {
        for rope in &self.ropes {
            if let Scaling::Yarn { original, factor, .. } = rope.scaling {
                self.max_context = self.max_context.max((original * factor) as usize).min(LARGEST);
            }
        }
        self
    }

    /// What makes no sense, or is not supported, in words.
    fn wrong(&self) -> Option<String> {
        let Self { n_heads, n_kv_heads, head_dim, hidden_size, .. } = *self;
        if n_heads % n_kv_heads != 0 {
            return Some(format!("{n_heads} heads cannot share {n_kv_heads} key heads evenly"));
        }
        if let Some(what) = unsupported_heads(n_heads, head_dim) {
            return Some(what);
        }
        if hidden_size % 4 != 0 {
            return Some(format!("a width of {hidden_size} is not supported (fours only)"));
        }
        if !(0.0..1.0).contains(&self.norm_eps) {
            return Some(format!("a norm epsilon of {} is absurd", self.norm_eps));
        }
        let factors = [
            ("scale of the embeddings", Some(self.embedding_scale)),
            ("scale of the scores (query_pre_attn_scalar)", Some(self.attention_scale)),
            ("cap of the scores (attn_logit_softcapping)", self.attention_cap),
            ("cap of the logits (final_logit_softcapping)", self.logits_cap),
        ];
        for (name, factor) in factors {
            if let Some(number) = factor.filter(|number| !number.is_finite() || *number <= 0.0) {
                return Some(format!("a {name} of {number} is absurd"));
            }
        }
        if self.layer_types.iter().any(|layer| layer.window == Some(0)) {
            return Some("an attention window of 0 tokens is absurd".into());
        }
        if let Some(Experts { n_experts, n_experts_used, .. }) = self.experts
            && n_experts_used > n_experts.min(Route::MOST)
        {
            return Some(format!(
                "{n_experts_used} experts a token, of {n_experts}, are not supported"
            ));
        }
        self.ropes.iter().find_map(|rope| rope.wrong(head_dim))
    }

    /// Factor of the attention scores of layer `index`.
    pub fn attention_scale_of(&self, index: usize) -> f32 {
        self.attention_scale / if self.scores_by_layer { index as f32 + 1.0 } else { 1.0 }
    }

    /// The experts of layer `index`, if it has any.
    pub fn experts_of(&self, index: usize) -> Option<&Experts> {
        self.experts.as_ref().filter(|experts| experts.layers.get(index) == Some(&true))
    }
}
