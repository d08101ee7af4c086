//! A `model_type` of Hugging Face's configurations, with what its files leave unsaid.

/// How a configuration names its fields.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum FieldNames {
    /// `hidden_size`, `num_attention_heads` and so on, as most families have them.
    Decoder,
    /// `n_embd`, `n_head` and so on.
    Gpt2,
    /// Those of another type, in an object `text_config`: a model that takes pictures too.
    Within(&'static ModelType),
}

/// What `transformers` takes for fields that a file leaves out, where models differ in it, and
/// which fields it reads at all: files of some models leave out all that is so. The defaults are
/// those of the configuration classes of transformers 5.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelType {
    /// The name.
    pub name: &'static str,
    /// How its fields are called.
    pub fields: FieldNames,
    /// Heads of queries; `None` where a file has to say so.
    pub n_heads: Option<usize>,
    /// Heads of keys and values; `None` for as many as heads.
    pub n_kv_heads: Option<usize>,
    /// Width of a head; `None` for the width of the stream, shared evenly.
    pub head_dim: Option<usize>,
    /// Tokens; `None` where a file has to say so.
    pub vocab_size: Option<usize>,
    /// Longest context.
    pub max_context: usize,
    /// Tokens that a layer with a window sees; `None` where no layer has one.
    pub window: Option<usize>,
    /// First layer with a window, of a model that has one only if `use_sliding_window` says so;
    /// `None` where all layers have, unless it says otherwise.
    pub window_from_layer: Option<usize>,
    /// Epsilon of the norms.
    pub norm_eps: f64,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Attention scores are divided by the root of this (`query_pre_attn_scalar`); `None` for the
    /// width of a head.
    pub query_scale: Option<f64>,
    /// The embedding table is the output matrix, too.
    pub tied: bool,
    /// `mlp_bias` gives the feed-forward part biases.
    pub mlp_bias: bool,
    /// The library gives the attention no biases, whatever `attention_bias` says: they are there
    /// only if they are stored.
    pub biases_if_stored: bool,
}

impl ModelType {
    /// A decoder with rotary positions of which nothing else is known.
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
