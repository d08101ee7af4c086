//! What a model file says about its shape.

use crate::Result;
use crate::format::Gguf;

/// Shape and constants of a Llama-like model. T tokens, C width, H heads, K key heads, D head width, F hidden width,
/// L layers, V vocabulary.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Architecture's name in the file.
    pub architecture: String,
    /// C.
    pub width: usize,
    /// F.
    pub hidden: usize,
    /// L.
    pub layers: usize,
    /// H.
    pub heads: usize,
    /// K, a divisor of H.
    pub key_heads: usize,
    /// D.
    pub head: usize,
    /// V.
    pub vocabulary: usize,
    /// Longest context the model was made for.
    pub context: usize,
    /// RMSNorm's epsilon.
    pub norm_eps: f32,
    /// Base of the rotary embedding's frequencies.
    pub rope_base: f32,
    /// Numbers of a head that are rotated.
    pub rope_width: usize,
}

/// Sizes no model has, so that products of them cannot overflow.
const LARGEST: usize = 1 << 24;

impl Config {
    /// Reads it from a GGUF file.
    ///
    /// # Errors
    /// An unknown architecture, a missing or absurd value, or a setting that changes the result and is not supported.
    pub fn from_gguf(gguf: &Gguf) -> Result<Self> {
        let architecture = gguf.str("general.architecture")?.to_string();
        if architecture != "llama" {
            let message =
                format!("the architecture {architecture:?} is not supported; this version runs \"llama\"");
            return Err(gguf.path_error(message));
        }
        let key = |name: &str| format!("{architecture}.{name}");
        let count = |name: &str| -> Result<usize> {
            let value = gguf.u32(&key(name))? as usize;
            match value {
                0 => Err(gguf.path_error(format!("{} is zero", key(name)))),
                1..=LARGEST => Ok(value),
                _ => Err(gguf.path_error(format!("{} is {value}, which no model needs", key(name)))),
            }
        };
        let width = count("embedding_length")?;
        let heads = count("attention.head_count")?;
        let or = |name: &str, default: usize| -> Result<usize> {
            if gguf.get(&key(name)).is_some() { count(name) } else { Ok(default) }
        };
        let head = or("attention.key_length", width / heads)?;
        let config = Self {
            width,
            hidden: count("feed_forward_length")?,
            layers: count("block_count")?,
            heads,
            key_heads: or("attention.head_count_kv", heads)?,
            head,
            vocabulary: gguf.tensor("token_embd.weight")?.shape.first().map_or(0, |&rows| rows as usize),
            context: count("context_length")?,
            norm_eps: gguf.f32(&key("attention.layer_norm_rms_epsilon"))?,
            rope_base: gguf.opt_f32(&key("rope.freq_base"))?.unwrap_or(10_000.0),
            rope_width: or("rope.dimension_count", head)?,
            architecture: architecture.clone(),
        };
        for name in ["rope.scaling.type", "attention.sliding_window", "expert_count", "logit_scale"] {
            match gguf.get(&key(name)) {
                None => {}
                Some(value) if matches!(value.to_string().as_str(), "none" | "\"none\"" | "0") => {}
                Some(value) => {
                    let message = format!("{} = {value} changes the result and is not supported", key(name));
                    return Err(gguf.path_error(message));
                }
            }
        }
        config.check(gguf)?;
        Ok(config)
    }

    fn check(&self, gguf: &Gguf) -> Result<()> {
        let wrong = |message: String| Err(gguf.path_error(message));
        let Self { heads, key_heads, head, width, rope_width, .. } = *self;
        if heads % key_heads != 0 {
            return wrong(format!("{heads} heads cannot share {key_heads} key heads evenly"));
        }
        if head % 8 != 0 || head > 256 || (heads * head) % 32 != 0 {
            return wrong(format!(
                "{heads} heads of width {head} are not supported (width 8 to 256 in eights)"
            ));
        }
        if rope_width > head || rope_width % 2 != 0 {
            return wrong(format!("{rope_width} rotated numbers do not fit a head of {head}"));
        }
        if width % 4 != 0 {
            return wrong(format!("a width of {width} is not supported (fours only)"));
        }
        let sane = (0.0..1.0).contains(&self.norm_eps) && self.rope_base.is_finite() && self.rope_base > 1.0;
        if !sane {
            return wrong(format!(
                "norm epsilon {} or rotary base {} is absurd",
                self.norm_eps, self.rope_base
            ));
        }
        Ok(())
    }

    /// Bytes of keys and values of one token in all layers, as halves.
    pub fn cache_bytes_per_token(&self) -> u64 {
        2 * 2 * (self.layers * self.key_heads * self.head) as u64
    }

    /// cos and sin of every rotated pair [context, D], in double precision: positions reach thousands of radians.
    /// Pairs beyond `rope_width` stay as they are.
    pub fn rope_table(&self, context: usize, factors: Option<&[f32]>) -> Vec<f32> {
        let pairs = self.rope_width / 2;
        let frequency = |pair: usize| {
            let exponent = 2.0 * pair as f64 / self.rope_width as f64;
            let factor = factors.map_or(1.0, |factors| f64::from(factors[pair]));
            f64::from(self.rope_base).powf(-exponent) / factor
        };
        let frequencies: Vec<f64> = (0..pairs).map(frequency).collect();
        let mut table = Vec::with_capacity(context * self.head);
        for position in 0..context {
            for pair in 0..self.head / 2 {
                let angle = frequencies.get(pair).map_or(0.0, |frequency| position as f64 * frequency);
                let (sin, cos) = angle.sin_cos();
                table.extend([cos as f32, sin as f32]);
            }
        }
        table
    }
}
