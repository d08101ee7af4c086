//! A `model_type` of Hugging Face configurations, with the defaults that apply where its files are
//! silent.

/// How a configuration names its fields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldNames {
    /// `hidden_size`, `num_attention_heads` and so on, as in most families.
    Decoder,
    /// `n_embd`, `n_head` and so on.
    Gpt2,
    /// The fields of another type, within an object `text_config`: a model that also takes images.
    Within(&'static ModelType),
}

/// The defaults of `transformers` for fields that a file omits, where they differ between models,
/// and which fields it reads at all. The defaults are those of the configuration classes of
/// transformers 5.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelType {
    /// The `model_type`.
    pub name: &'static str,
    /// How the fields are named.
    pub fields: FieldNames,
    /// Number of query heads; `None` where the file has to say so.
    pub n_heads: Option<usize>,
    /// Number of key and value heads; `None` for as many as query heads.
    pub n_kv_heads: Option<usize>,
    /// Width of a head; `None` for the hidden size divided by the number of heads.
    pub head_dim: Option<usize>,
    /// Size of the vocabulary; `None` where the file has to say so.
    pub vocab_size: Option<usize>,
    /// Longest context, in tokens.
    pub max_context: usize,
    /// Tokens that a windowed layer sees; `None` where no layer has a window.
    pub window: Option<usize>,
    /// First layer with a window, for models that use windows only if `use_sliding_window` says so;
    /// `None` where all layers have one unless it says otherwise.
    pub window_from_layer: Option<usize>,
    /// Added to the variance (or mean square) in norms.
    pub norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Attention scores are divided by the square root of this (`query_pre_attn_scalar`); `None`
    /// for the width of a head.
    pub query_scale: Option<f64>,
    /// The embedding table is also the output matrix.
    pub tied: bool,
    /// The field `mlp_bias` decides whether the feed-forward part has biases.
    pub mlp_bias: bool,
    /// `transformers` ignores `attention_bias` for this type: attention has biases only if they are
    /// stored.
    pub biases_if_stored: bool,
}

impl ModelType {
    /// The defaults of a decoder with rotary positions about which nothing else is known.
    pub const DECODER: Self = Self {
        name: "",
        fields: FieldNames::Decoder,
        n_heads: None,
        n_kv_heads: None,
        head_dim: None,
        vocab_size: None,
        max_context: 2048,
        window: None,
        window_from_layer: None,
        norm_eps: 1e-6,
        rope_theta: 1e4,
        query_scale: None,
        tied: false,
        mlp_bias: false,
        biases_if_stored: false,
    };
}
