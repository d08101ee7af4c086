//! The families of models, one row each. What differs between models of one family is in their
//! [`super::Config`].
//!
//! A row says how files name the family, which of the known steps it has, and which defaults apply
//! where its files are silent. A family that combines these steps differently needs only a row:
//! here, or with [`Architecture::register`] from outside the crate. `docs/adding.md` has the steps.

pub use super::model_type::{FieldNames, ModelType};
use crate::{Error, Result};
use std::sync::{Mutex, PoisonError};

/// How the residual stream is normalised before a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Norm {
    /// By the root of the mean square (Zhang and Sennrich 2019, arXiv:1910.07467), with a gain.
    Rms,
    /// By mean and variance (Ba et al. 2016, arXiv:1607.06450), with a gain and a bias.
    Layer,
}

/// What follows the first matrix product of the feed-forward part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FeedForward {
    /// silu(gate) * up.
    SwiGlu,
    /// gelu(gate) * up, with GELU's approximation by tanh.
    GeGlu,
    /// f(up), where f is the activation function of the configuration.
    Plain,
}

/// How a file orders the two numbers of a head that the rotation turns together. In packed weights
/// they are always neighbours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pairs {
    /// Numbers 2 i and 2 i + 1 form a pair.
    Neighbours,
    /// Numbers i and i + half of the rotated count form a pair.
    Halves,
}

/// Defaults for layers with sliding-window attention and their own rotary frequencies, which
/// alternate with layers that attend to all tokens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LocalLayers {
    /// Base of the rotary frequencies of windowed layers, where the file does not say.
    pub rope_theta: f64,
    /// One layer in this many attends to all tokens, where the file does not say which.
    pub full_every: usize,
}

/// One family of models: its names, its steps and its defaults.
#[derive(Debug, Clone, PartialEq)]
pub struct Architecture {
    /// Its name in GGUF files, `general.architecture`.
    pub name: &'static str,
    /// Its names in Hugging Face's configurations, `model_type`, with what they imply.
    pub model_types: &'static [ModelType],
    /// Norm before attention and before the feed-forward part.
    pub norm: Norm,
    /// Subtracted from the gains in Hugging Face checkpoints; GGUF files store the gains
    /// themselves.
    pub gain_offset: f32,
    /// Form of the feed-forward part.
    pub feed_forward: FeedForward,
    /// Order of rotated pairs in GGUF files; Hugging Face checkpoints always have
    /// [`Pairs::Halves`].
    pub gguf_pairs: Pairs,
    /// A learned vector is added for each position, and queries and keys are not rotated.
    pub learned_positions: bool,
    /// Files store queries, keys and values as one matrix, and gate and up as another.
    pub fused: bool,
    /// Hugging Face's checkpoints store matrices as [inputs, outputs].
    pub transposed: bool,
    /// Each head of queries and keys is normalised before the rotation.
    pub head_norms: bool,
    /// The output of a block is normalised before it is added to the residual stream.
    pub post_norms: bool,
    /// The products for queries, keys and values have biases; [`super::Config`] can also say so for
    /// a single model.
    pub qkv_bias: bool,
    /// All other products have biases.
    pub bias: bool,
    /// Embeddings are multiplied by the square root of the hidden size.
    pub scaled_embedding: bool,
    /// Layers may be mixtures of experts.
    pub mixture: bool,
    /// Some layers have a window and their own rotary frequencies.
    pub local_layers: Option<LocalLayers>,
    /// GGUF files do not say what attention scores are divided by. It is the square root of the
    /// head width, except in the model with this number of layers: there it is the square root of
    /// the hidden size divided by the number of heads.
    pub gguf_layers_scaled_by_width: Option<usize>,
    /// GGUF readers look for attention biases that `qkv_bias` and `bias` do not announce.
    pub gguf_may_have_biases: bool,
    /// GGUF files store the context that a model was originally made for, even if it is not
    /// stretched.
    pub gguf_original_context: bool,
}

impl Architecture {
    /// Llama (Touvron et al. 2023, arXiv:2302.13971) and, with a window, Mistral (Jiang et al.
    /// 2023, arXiv:2310.06825). The other families are written as differences from this one.
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

    /// Registers a family that is defined outside of the crate, for all files read afterwards. Its
    /// tensors are found by Llama's names, or by those of the family whose `model_type` is a prefix
    /// of its own.
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

    /// All known families, the registered ones last.
    fn known() -> Vec<&'static Self> {
        let added = ADDED.lock().unwrap_or_else(PoisonError::into_inner);
        TABLE.iter().chain(added.iter().copied()).collect()
    }

    /// The family with this name in GGUF files; the error lists the known names, for a message.
    pub(super) fn of_gguf(name: &str) -> std::result::Result<&'static Self, String> {
        let known = Self::known();
        let found = known.iter().find(|row| row.name == name);
        found
            .copied()
            .ok_or_else(|| known.iter().map(|row| row.name).collect::<Vec<_>>().join(", "))
    }

    /// The family of a Hugging Face `model_type` with the row for that type; the error lists the
    /// known names, for a message.
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

/// The common base of the other families' rows.
const BASE: Architecture = Architecture { gguf_may_have_biases: false, ..Architecture::LLAMA };

/// A Qwen model, whose windows begin at a given layer.
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
            // Vision models: the language model has its configuration in an inner object.
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
