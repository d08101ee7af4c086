//! The shape of a transformer to be trained.

use crate::model::Config;
use crate::model::rope::RopeParameters;
use crate::train::text_settings::TextSettings;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The longest context of training.
pub(in crate::train) const MOST_CONTEXT: usize = 8192;

/// How the stream is normalised before each block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NormKind {
    /// Subtracts the mean and divides by the standard deviation.
    LayerNorm,
    /// Divides by the root of the mean square.
    RmsNorm,
}

/// Activation function of a feed-forward block.
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

/// How the model represents positions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Positions {
    /// A learned vector for each position is added to the embedding.
    Learned,
    /// Queries and keys are rotated by an angle that depends on the position.
    Rotary,
}

/// Shape of a pre-norm, decoder-only transformer without biases in its matrices.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Number of tokens in the vocabulary, V.
    #[serde(alias = "vocabulary")]
    pub vocab_size: usize,
    /// Number of positions in a sequence, T.
    pub context: usize,
    /// Number of layers.
    #[serde(alias = "layers")]
    pub n_layers: usize,
    /// Width of the residual stream, C.
    #[serde(alias = "width")]
    pub hidden_size: usize,
    /// Number of query heads, H.
    #[serde(alias = "heads")]
    pub n_heads: usize,
    /// Number of key and value heads; it divides H.
    #[serde(alias = "key_heads")]
    pub n_kv_heads: usize,
    /// Width of the feed-forward blocks, F.
    #[serde(alias = "hidden")]
    pub intermediate_size: usize,
    /// Kind of norm.
    pub norm: NormKind,
    /// Whether LayerNorms have a bias.
    pub norm_bias: bool,
    /// Kind of feed-forward block.
    pub feedforward: Feedforward,
    /// How positions are represented.
    pub positions: Positions,
    /// Whether the embedding table is also the output matrix.
    #[serde(alias = "tied")]
    pub tie_word_embeddings: bool,
    /// Standard deviation of the initial embeddings.
    pub embedding_deviation: f32,
    /// Added to the variance (or mean square) in norms.
    #[serde(default = "epsilon")]
    #[serde(alias = "epsilon")]
    pub norm_eps: f32,
    /// Radians a position for each pair of the rotation; `None` for the base 10,000.
    #[serde(skip)]
    pub rope: Option<RopeParameters>,
}

fn epsilon() -> f32 {
    1e-5
}

impl Shape {
    /// The network of the grokking paper (Power et al. 2022, arXiv:2201.02177): ReLU, LayerNorm and
    /// learned positions.
    pub fn grokking(
        vocabulary: usize,
        context: usize,
        layers: usize,
        width: usize,
        heads: usize,
    ) -> Self {
        Self {
            vocab_size: vocabulary,
            context,
            n_layers: layers,
            hidden_size: width,
            n_heads: heads,
            n_kv_heads: heads,
            intermediate_size: 4 * width,
            norm: NormKind::LayerNorm,
            norm_bias: true,
            feedforward: Feedforward::Relu,
            positions: Positions::Learned,
            tie_word_embeddings: false,
            embedding_deviation: 1.0,
            norm_eps: epsilon(),
            rope: None,
        }
    }

    /// A Llama with a vocabulary of this size: RMSNorm, rotary positions and SwiGLU. The other
    /// sizes come from the configuration file.
    pub(in crate::train) fn llama(settings: &TextSettings, vocabulary: usize) -> Self {
        Self {
            vocab_size: vocabulary,
            context: settings.context,
            n_layers: settings.n_layers,
            hidden_size: settings.hidden_size,
            n_heads: settings.n_heads,
            n_kv_heads: settings.n_kv_heads,
            intermediate_size: settings.intermediate_size,
            norm: NormKind::RmsNorm,
            norm_bias: false,
            feedforward: Feedforward::Swiglu,
            positions: Positions::Rotary,
            tie_word_embeddings: true,
            embedding_deviation: 0.02,
            norm_eps: epsilon(),
            rope: None,
        }
    }

    /// The shape of a stored model, for sequences of `context` tokens.
    ///
    /// # Errors
    /// When the model has something that training does not support.
    pub fn of(config: &Config, tied: bool, context: usize) -> Result<Self> {
        let Config { n_heads, head_dim, hidden_size, .. } = *config;
        let rope = config.ropes.first().filter(|_| config.ropes.len() == 1);
        let windowed = |most: usize| {
            config.layer_types.iter().any(|layer| layer.window.is_some_and(|n| n < most))
        };
        let refused = [
            (
                config.architecture.name != "llama",
                format!("architecture is {:?}", config.architecture.name),
            ),
            (config.qkv_bias || config.output_bias, "products of the attention have biases".into()),
            (config.ffn_bias, "products of the feed-forward parts have biases".into()),
            (
                config.attention_cap.is_some() || config.logits_cap.is_some(),
                "scores or logits have caps".into(),
            ),
            (
                n_heads * head_dim != hidden_size,
                format!(
                    "{n_heads} heads of {head_dim} are not as wide as its stream, {hidden_size}"
                ),
            ),
            (rope.is_none_or(|rope| rope.width != head_dim), "heads are rotated in part".into()),
            (
                windowed(context),
                format!("attention has a window smaller than the context of {context}"),
            ),
        ];
        if let Some((_, what)) = refused.into_iter().find(|(wrong, _)| *wrong) {
            let message =
                format!("the model cannot be trained here: its {what}; Llama and its like can be");
            return Err(Error::Unsupported { path: None, message, remedy: None });
        }
        if context > config.max_context {
            let longest = config.max_context;
            let why = format!("of {context} tokens; the model was made for {longest}");
            return Err(Error::setting("a context", why));
        }
        let like = TextSettings {
            context,
            n_layers: config.n_layers,
            hidden_size,
            n_heads,
            n_kv_heads: config.n_kv_heads,
            intermediate_size: config.intermediate_size,
            ..TextSettings::default()
        };
        let epsilon = config.norm_eps;
        Ok(Self {
            tie_word_embeddings: tied,
            norm_eps: epsilon,
            rope: rope.cloned(),
            ..Self::llama(&like, config.vocab_size)
        })
    }

    /// Width of a head, D.
    pub fn head(&self) -> usize {
        self.hidden_size / self.n_heads
    }

    /// Rows of the embedding table, a multiple of four because a texel holds four numbers.
    pub fn padded_vocabulary(&self) -> usize {
        self.vocab_size.next_multiple_of(4)
    }

    /// Refuses a shape that the kernels do not support.
    ///
    /// # Errors
    /// The message names the number that is wrong, and says what it must be.
    pub fn check(&self) -> Result<()> {
        let counts = [
            ("vocab_size", self.vocab_size, 1 << 17),
            ("context", self.context, MOST_CONTEXT),
            ("layers", self.n_layers, 256),
            ("hidden_size", self.hidden_size, 1 << 14),
            ("heads", self.n_heads, 256),
            ("key_heads", self.n_kv_heads, 256),
            ("intermediate_size", self.intermediate_size, 1 << 16),
        ];
        for (name, count, most) in counts {
            if count == 0 || count > most {
                let why = format!("is {count}; it must be from 1 to {most}");
                return Err(Error::setting(name, why));
            }
        }
        let wrong = |name: &str, why: String| Err(Error::setting(name, why));
        if !self.hidden_size.is_multiple_of(4 * self.n_heads) {
            let heads = self.n_heads;
            let why = format!("{} is no multiple of 4 * {heads} heads", self.hidden_size);
            return wrong("width", why);
        }
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            let why = format!("of {} cannot share {} key heads", self.n_heads, self.n_kv_heads);
            return wrong("heads", why);
        }
        if !self.intermediate_size.is_multiple_of(4) {
            let why = format!("{} is no multiple of 4", self.intermediate_size);
            return wrong("intermediate_size", why);
        }
        if !(self.embedding_deviation > 0.0 && self.embedding_deviation.is_finite()) {
            let why = format!("{} is not above 0", self.embedding_deviation);
            return wrong("embedding_deviation", why);
        }
        Ok(())
    }
}
