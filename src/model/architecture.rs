//! The families of models, one row each. What differs between models of a family is in their
//! [`super::Config`].
//!
//! A row says how files name the family, which of the known steps it has, and what its files leave
//! unsaid. A family of these steps needs no more than a row: here, or with
//! [`Architecture::register`] from outside the crate. `docs/adding.md` has the steps.

pub use super::model_type::{FieldNames, ModelType};
use crate::{Error, Result};
use std::sync::{Mutex, PoisonError};

/// How the stream is normalised before a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// By the root of the mean square (Zhang and Sennrich 2019, arXiv:1910.07467), with a gain.
    Rms,
    /// By mean and variance (Ba et al. 2016, arXiv:1607.06450), with a gain and a bias.
    Layer,
}

/// What follows the first product of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForward {
    /// silu(gate) * up.
    SwiGlu,
    /// gelu(gate) * up, with GELU's approximation by tanh.
    GeGlu,
    /// f(up), f being the configuration's.
    Plain,
}

/// Which numbers of a head the rotation turns together, as the file orders them. Packed, they are
/// always neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Numbers 2 i and 2 i + 1.
    Neighbours,
    /// Numbers i and i + half of those that are rotated.
    Halves,
}

/// Layers that see a window of the latest tokens only, among others that see all, and rotate with
/// frequencies of their own.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalLayers {
    /// Base of their frequencies, where a file does not say.
    pub rope_theta: f64,
    /// Each so many layers one sees all, where a file does not say which.
    pub full_every: usize,
}

/// What sets a family apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Its name in GGUF files, `general.architecture`.
    pub name: &'static str,
    /// Its names in Hugging Face's configurations, `model_type`, with what they imply.
    pub model_types: &'static [ModelType],
    /// Norm before the blocks.
    pub norm: Norm,
    /// Hugging Face's checkpoints store gains less this number; GGUF's files store the gains.
    pub gain_offset: f32,
    /// Feed-forward part.
    pub feed_forward: FeedForward,
    /// Order in GGUF files; Hugging Face's always have halves.
    pub gguf_pairs: Pairs,
    /// A learned vector is added for each position, and nothing is rotated.
    pub learned_positions: bool,
    /// Queries, keys and values are one matrix, gate and up are another.
    pub fused: bool,
    /// Hugging Face's checkpoints store matrices as [inputs, outputs].
    pub transposed: bool,
    /// Each head of queries and keys is normalised before the rotation.
    pub head_norms: bool,
    /// What a block gives is normalised before it joins the stream.
    pub post_norms: bool,
    /// Products for queries, keys and values have biases; [`super::Config`] may say so of a model,
    /// too.
    pub qkv_bias: bool,
    /// All others have.
    pub bias: bool,
    /// Embeddings are scaled by the root of the width.
    pub scaled_embedding: bool,
    /// Layers may be mixtures of experts.
    pub mixture: bool,
    /// Some layers have a window and frequencies of their own.
    pub local_layers: Option<LocalLayers>,
    /// GGUF files do not say what the attention scores are scaled by. It is the width of a head,
    /// but for the model with this count of layers: there it is the width of the stream, shared by
    /// the heads.
    pub gguf_layers_scaled_by_width: Option<usize>,
    /// Readers of GGUF files look for biases of the attention that `qkv_bias` and `bias` do not
    /// promise.
    pub gguf_may_have_biases: bool,
    /// GGUF files say the context that a model was first made for, stretched or not.
    pub gguf_original_context: bool,
}

impl Architecture {
    /// Llama, the family that others are told apart from: Touvron et al. 2023, arXiv:2302.13971,
    /// and with a window Mistral, Jiang et al. 2023, arXiv:2310.06825.
    pub const LLAMA: Self = Self {
        name: "llama",
        model_types: &[
            ModelType { name: "llama", mlp_bias: true, ..ModelType::DECODER },
            ModelType {
                name: "mistral",
                n_kv_heads: Some(8),
                max_context: 131_072,
                window: Some(4096),
                biases_if_stored: true,
                ..ModelType::DECODER
            },
        ],
        norm: Norm::Rms,
        gain_offset: 0.0,
        feed_forward: FeedForward::SwiGlu,
        gguf_pairs: Pairs::Neighbours,
        learned_positions: false,
        fused: false,
        transposed: false,
        head_norms: false,
        post_norms: false,
        qkv_bias: false,
        bias: false,
        scaled_embedding: false,
        mixture: false,
        local_layers: None,
        gguf_layers_scaled_by_width: None,
        gguf_may_have_biases: true,
        gguf_original_context: false,
    };

    /// Makes a family known that is defined outside of the crate, to all files read from then on.
    /// Its tensors are found by the names of Llama's, or of the family whose `model_type` its own
    /// begins with.
    ///
    /// # Errors
    /// When one of its names is taken.
    pub fn register(&'static self) -> Result<()> {
        let mut added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
        let is_taken = |known: &Architecture| {
            let types = |name| known.model_types.iter().any(|known| known.name == name);
            known.name == self.name || self.model_types.iter().any(|own| types(own.name))
        };
        if TABLE.iter().chain(added.iter().copied()).any(is_taken) {
            return Err(Error::input(format!(
                "a name of the family {:?} is that of a known one",
                self.name
            )));
        }
        added.push(self);
        Ok(())
    }

    /// The families that are known.
    fn known() -> Vec<&'static Self> {
        let added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
        TABLE.iter().chain(added.iter().copied()).collect()
    }

    /// The family that GGUF files call this; else the names that are known, for a message.
    pub(super) fn of_gguf(name: &str) -> std::result::Result<&'static Self, String> {
        let known = Self::known();
        let found = known.iter().find(|row| row.name == name);
        found
            .copied()
            .ok_or_else(|| known.iter().map(|row| row.name).collect::<Vec<_>>().join(", "))
    }

    /// The family of a `model_type`, and what is known of the latter; else the names that are
    /// known, for a message.
    pub(super) fn of_model_type(
        name: &str,
    ) -> std::result::Result<(&'static Self, &'static ModelType), String> {
        let known = Self::known();
        let all =
            || known.iter().flat_map(|row| row.model_types.iter().map(move |own| (*row, own)));
        all()
            .find(|(_, own)| own.name == name)
            .ok_or_else(|| all().map(|(_, own)| own.name).collect::<Vec<_>>().join(", "))
    }
}

/// Families registered by users of the crate.
static ADDED: Mutex<Vec<&'static Architecture>> = Mutex::new(vec![]);

/// What the other families differ from.
const BASE: Architecture = Architecture { gguf_may_have_biases: false, ..Architecture::LLAMA };

/// A Qwen, whose windows begin at a layer.
const QWEN: ModelType = ModelType {
    max_context: 32_768,
    window: Some(4096),
    window_from_layer: Some(28),
    ..ModelType::DECODER
};

/// The families that come with the crate.
static TABLE: [Architecture; 7] = [
    Architecture::LLAMA,
    // Yang et al. 2024, arXiv:2407.10671.
    Architecture {
        name: "qwen2",
        model_types: &[ModelType {
            name: "qwen2",
            n_kv_heads: Some(32),
            biases_if_stored: true,
            ..QWEN
        }],
        gguf_pairs: Pairs::Halves,
        qkv_bias: true,
        ..BASE
    },
    // Yang et al. 2025, arXiv:2505.09388.
    Architecture {
        name: "qwen3",
        model_types: &[ModelType {
            name: "qwen3",
            n_kv_heads: Some(32),
            head_dim: Some(128),
            ..QWEN
        }],
        gguf_pairs: Pairs::Halves,
        head_norms: true,
        ..BASE
    },
    // Qwen 3 with experts, by the same report.
    Architecture {
        name: "qwen3moe",
        model_types: &[ModelType { name: "qwen3_moe", n_kv_heads: Some(4), ..QWEN }],
        gguf_pairs: Pairs::Halves,
        head_norms: true,
        mixture: true,
        ..BASE
    },
    // Gemma Team 2025, arXiv:2503.19786.
    Architecture {
        name: "gemma3",
        model_types: &[
            GEMMA3_TEXT,
            // With eyes: the part that reads and writes has a configuration of its own.
            ModelType { name: "gemma3", fields: FieldNames::Within(&GEMMA3_TEXT), ..GEMMA3_TEXT },
        ],
        gain_offset: 1.0,
        feed_forward: FeedForward::GeGlu,
        gguf_pairs: Pairs::Halves,
        head_norms: true,
        post_norms: true,
        scaled_embedding: true,
        local_layers: Some(LocalLayers { rope_theta: 10_000.0, full_every: 6 }),
        gguf_layers_scaled_by_width: Some(62), // the one with 27 billion weights
        ..BASE
    },
    // Abdin et al. 2024, arXiv:2404.14219.
    Architecture {
        name: "phi3",
        model_types: &[ModelType {
            name: "phi3",
            max_context: 4096,
            norm_eps: 1e-5,
            biases_if_stored: true,
            ..ModelType::DECODER
        }],
        gguf_pairs: Pairs::Halves,
        fused: true,
        gguf_original_context: true,
        ..BASE
    },
    // Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
    Architecture {
        name: "gpt2",
        model_types: &[ModelType { name: "gpt2", fields: FieldNames::Gpt2, ..ModelType::DECODER }],
        norm: Norm::Layer,
        feed_forward: FeedForward::Plain,
        learned_positions: true,
        fused: true,
        transposed: true,
        qkv_bias: true,
        bias: true,
        ..BASE
    },
];

const GEMMA3_TEXT: ModelType = ModelType {
    name: "gemma3_text",
    n_heads: Some(8),
    n_kv_heads: Some(4),
    head_dim: Some(256),
    vocab_size: Some(262_208),
    max_context: 131_072,
    window: Some(4096),
    rope_theta: 1e6,
    query_scale: Some(256.0),
    tied: true,
    ..ModelType::DECODER
};
