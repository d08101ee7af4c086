//! The families of models, one row each. What differs between models of a family is in their
//! [`super::Config`].

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

/// What sets a family apart.
#[derive(Debug, PartialEq)]
pub struct Architecture {
    /// GGUF's name of it.
    pub name: &'static str,
    /// `model_type` of Hugging Face's configurations.
    pub model_types: &'static [&'static str],
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
}

const LLAMA: Architecture = Architecture {
    name: "llama",
    model_types: &["llama", "mistral"],
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
};

/// All of them.
pub static TABLE: [Architecture; 7] = [
    // Touvron et al. 2023, arXiv:2302.13971, and with a window Jiang et al. 2023, arXiv:2310.06825.
    LLAMA,
    // Yang et al. 2024, arXiv:2407.10671.
    Architecture {
        name: "qwen2",
        model_types: &["qwen2"],
        gguf_pairs: Pairs::Halves,
        qkv_bias: true,
        ..LLAMA
    },
    // Yang et al. 2025, arXiv:2505.09388.
    Architecture {
        name: "qwen3",
        model_types: &["qwen3"],
        gguf_pairs: Pairs::Halves,
        head_norms: true,
        ..LLAMA
    },
    // The same with experts.
    Architecture {
        name: "qwen3moe",
        model_types: &["qwen3_moe"],
        gguf_pairs: Pairs::Halves,
        head_norms: true,
        mixture: true,
        ..LLAMA
    },
    // Gemma Team 2025, arXiv:2503.19786.
    Architecture {
        name: "gemma3",
        model_types: &["gemma3_text", "gemma3"],
        gain_offset: 1.0,
        feed_forward: FeedForward::GeGlu,
        gguf_pairs: Pairs::Halves,
        head_norms: true,
        post_norms: true,
        scaled_embedding: true,
        ..LLAMA
    },
    // Abdin et al. 2024, arXiv:2404.14219.
    Architecture {
        name: "phi3",
        model_types: &["phi3"],
        gguf_pairs: Pairs::Halves,
        fused: true,
        ..LLAMA
    },
    // Radford et al. 2019, "Language Models are Unsupervised Multitask Learners".
    Architecture {
        name: "gpt2",
        model_types: &["gpt2"],
        norm: Norm::Layer,
        feed_forward: FeedForward::Plain,
        learned_positions: true,
        fused: true,
        transposed: true,
        qkv_bias: true,
        bias: true,
        ..LLAMA
    },
];

/// GGUF's names of all, for messages.
pub(super) fn names() -> String {
    TABLE.iter().map(|row| row.name).collect::<Vec<_>>().join(", ")
}

/// Hugging Face's names of all, for messages.
pub(super) fn model_types() -> String {
    TABLE.iter().flat_map(|row| row.model_types).copied().collect::<Vec<_>>().join(", ")
}
