//! Steps of models of the Llama family, whose calls are timed and tuned without a model file.

use crate::format::DType;

/// Tokens in the prompt.
pub(in crate::kernels) const PROMPT: usize = 256;
/// Vocabulary size of SmolLM2.
pub(in crate::kernels) const VOCAB_SIZE: usize = 49152;

/// The sizes of a model and of one of its steps.
pub(in crate::kernels) struct ModelStep {
    pub model: &'static str,
    pub dtype: DType,
    pub hidden_size: usize,
    pub n_heads: usize,
    pub n_kv_heads: usize,
    pub head_dim: usize,
    pub intermediate_size: usize,
    /// Vocabulary size, the rows of the embeddings and of the output matrix; 0 omits both calls.
    pub vocab_size: usize,
    /// Tokens in the step.
    pub tokens: usize,
    /// Tokens in the cache before the step.
    pub position: usize,
}

const SMOL: ModelStep = ModelStep {
    model: "SmolLM2-135M",
    dtype: DType::Q4_1,
    hidden_size: 576,
    n_heads: 9,
    n_kv_heads: 3,
    head_dim: 64,
    intermediate_size: 1536,
    vocab_size: VOCAB_SIZE,
    tokens: 1,
    position: 256,
};

/// Without embeddings: their 128256 rows would take too long to make up.
const LLAMA: ModelStep = ModelStep {
    model: "Llama-3.2-1B",
    dtype: DType::Q4_0,
    hidden_size: 2048,
    n_heads: 32,
    n_kv_heads: 8,
    head_dim: 64,
    intermediate_size: 8192,
    vocab_size: 0,
    tokens: 1,
    position: 256,
};

/// One token of each model, and a prompt of the smaller one.
pub(in crate::kernels) static MODEL_STEPS: [ModelStep; 3] =
    [SMOL, ModelStep { tokens: PROMPT, position: 0, ..SMOL }, LLAMA];

impl ModelStep {
    /// The name of the step's call `label`.
    pub(in crate::kernels) fn call(&self, label: &str) -> String {
        let phase = match self.tokens {
            1 => "decode".to_owned(),
            tokens => format!("prefill of {tokens}"),
        };
        format!("{} {phase} {label}", self.model)
    }

    /// Capacity of the cache in positions.
    pub(in crate::kernels) fn capacity(&self) -> usize {
        (self.position + self.tokens).next_multiple_of(64)
    }

    /// Whether its tensors take long to make up.
    pub(in crate::kernels) fn is_large(&self) -> bool {
        self.tokens > 1 || self.model == LLAMA.model
    }
}
