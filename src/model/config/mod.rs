//! The shape of a model, as its file or folder describes it.

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

/// Shape and constants of a model. Letters in the descriptions of shapes: T tokens, C hidden size,
/// H heads, K key heads, D head width, F width of the feed-forward part, L layers, V vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// The family that the model belongs to.
    pub architecture: &'static Architecture,
    /// Width of the residual stream, C.
    pub hidden_size: usize,
    /// Width of the feed-forward part, F.
    pub intermediate_size: usize,
    /// Number of layers, L.
    pub n_layers: usize,
    /// Number of query heads, H.
    pub n_heads: usize,
    /// Number of key and value heads, K; it divides H.
    pub n_kv_heads: usize,
    /// Width of a head, D.
    pub head_dim: usize,
    /// Number of tokens in the vocabulary, V.
    pub vocab_size: usize,
    /// Longest context that the model was made for, in tokens.
    pub max_context: usize,
    /// Added to the variance (or mean square) in norms.
    pub norm_eps: f32,
    /// Rotary embeddings; [`LayerType::rope`] selects one for each layer.
    pub ropes: Vec<RopeParameters>,
    /// Attention window and rotary embedding of each layer `[L]`.
    pub layer_types: Vec<LayerType>,
    /// The embeddings are multiplied by this.
    pub embedding_scale: f32,
    /// Activation function of a feed-forward part without a gate.
    pub activation: Function,
    /// The attention scores are multiplied by this.
    pub attention_scale: f32,
    /// Attention scores become cap * tanh(score / cap).
    pub attention_cap: Option<f32>,
    /// Logits become cap * tanh(logit / cap).
    pub logits_cap: Option<f32>,
    /// Whether the embedding table is also the output matrix; `None` if the file says so only by
    /// having no output matrix.
    pub tied: Option<bool>,
    /// The products for queries, keys and values have biases.
    pub qkv_bias: bool,
    /// The product after attention has a bias.
    pub output_bias: bool,
    /// The products of the feed-forward part have biases.
    pub ffn_bias: bool,
    /// Attention scores of layer i are additionally divided by i + 1.
    pub scores_by_layer: bool,
    /// The mixture of experts, if the model has one.
    pub experts: Option<Experts>,
}

/// A mixture of experts: parallel feed-forward parts, of which each token uses a few.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experts {
    /// Number of experts in a layer.
    pub n_experts: usize,
    /// Number of experts that each token uses.
    pub n_experts_used: usize,
    /// Width of each expert's feed-forward part.
    pub intermediate_size: usize,
    /// Whether the weights of the chosen experts are normalised to add up to 1; otherwise those of
    /// all experts do.
    pub among_chosen: bool,
    /// Whether each layer has experts rather than one feed-forward part for all tokens `[L]`.
    pub layers: Vec<bool>,
}

/// How far a layer's attention reaches, and how it is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerType {
    /// Number of latest tokens that a token attends to, itself included; `None` for all.
    pub window: Option<usize>,
    /// Index into [`Config::ropes`].
    pub rope: usize,
}

/// Why a field or key cannot be ignored although the user asked for it.
const HAS_AN_EFFECT: &str =
    "is known to this version and has an effect; only what is refused can be ignored";

/// Larger than any size in a model; products of two sizes cannot overflow below it.
const LARGEST: usize = 1 << 24;
/// More layers than any model has.
const MOST_LAYERS: usize = 1 << 12;

/// Why attention cannot be computed with `heads` heads of width `head`, in words; `None` if it can.
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
    /// Reads the configuration from a file or folder.
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

    /// Reads the configuration from a GGUF file.
    ///
    /// # Errors
    /// An unknown architecture, a missing or absurd value, or a setting that changes the result and
    /// is not supported.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let config = gguf::read(gguf)?;
        match config.wrong() {
            Some(message) => Err(gguf.path_error(message)),
            None => Ok(config.stretched()),
        }
    }

    /// Extends the context to what YaRN stretches to, because people add YaRN's settings to a file
    /// without changing its context.
    fn stretched(mut self) -> Self {
        for rope in &self.ropes {
            if let Scaling::Yarn { original, factor, .. } = rope.scaling {
                self.max_context = self.max_context.max((original * factor) as usize).min(LARGEST);
            }
        }
        self
    }

    /// What in the configuration is contradictory or not supported, in words.
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

    /// The factor that multiplies the attention scores of layer `index`.
    pub fn attention_scale_of(&self, index: usize) -> f32 {
        self.attention_scale / if self.scores_by_layer { index as f32 + 1.0 } else { 1.0 }
    }

    /// The experts of layer `index`, if it has any.
    pub fn experts_of(&self, index: usize) -> Option<&Experts> {
        self.experts.as_ref().filter(|experts| experts.layers.get(index) == Some(&true))
    }
}
