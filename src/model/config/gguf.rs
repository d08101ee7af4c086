//! The configuration from a GGUF file's metadata (`docs/gguf.md` of ggml-org/ggml, "LLM").

use super::{Config, Experts, LARGEST, LayerType, MOST_LAYERS};
use crate::Result;
use crate::format::{DType, Gguf, blocks};
use crate::kernels::Function;
use crate::model::architecture::{Norm, TABLE, names};
use crate::model::rope::{Rope, Scaling};

/// Keys that change the result, and values with which they do not.
const UNSUPPORTED: [(&str, &[&str]); 5] = [
    ("logit_scale", &["0"]),
    ("attention.causal", &["true"]),
    ("expert_shared_count", &["0"]),
    ("expert_weights_scale", &["0", "1"]),
    // 1 is the softmax.
    ("expert_gating_func", &["0", "1"]),
];

pub(super) fn read(gguf: &Gguf) -> Result<Config> {
    let named = gguf.str("general.architecture")?;
    let architecture = TABLE.iter().find(|row| row.name == named).ok_or_else(|| {
        gguf.path_error(format!("the architecture {named:?} is not supported; known are {}", names()))
    })?;
    let key = |name: &str| format!("{named}.{name}");
    let count = |name: &str| -> Result<usize> {
        let value = gguf.u32(&key(name))? as usize;
        match value {
            0 => Err(gguf.path_error(format!("{} is zero", key(name)))),
            1..=LARGEST => Ok(value),
            _ => Err(gguf.path_error(format!("{} is {value}, which no model needs", key(name)))),
        }
    };
    let or = |name: &str, default: usize| -> Result<usize> {
        if gguf.get(&key(name)).is_some() { count(name) } else { Ok(default) }
    };
    for (name, harmless) in UNSUPPORTED {
        if let Some(value) = gguf.get(&key(name))
            && !harmless.contains(&value.to_string().as_str())
        {
            let message = format!("{} = {value} changes the result and is not supported", key(name));
            return Err(gguf.path_error(message));
        }
    }
    let (width, heads, layers) =
        (count("embedding_length")?, count("attention.head_count")?, count("block_count")?);
    if layers > MOST_LAYERS {
        return Err(gguf.path_error(format!("{} is {layers}, which no model needs", key("block_count"))));
    }
    let head = or("attention.key_length", width / heads)?;
    if or("attention.value_length", head)? != head {
        return Err(gguf.path_error(format!("{} differs from the keys'", key("attention.value_length"))));
    }
    let window = match gguf.opt_u32(&key("attention.sliding_window"))? {
        None | Some(0) => None,
        Some(window) => Some(window as usize),
    };
    let context = count("context_length")?;
    let width_of_rope = or("rope.dimension_count", head)?;
    let rope = match architecture.learned_positions {
        true => Rope::none(),
        false => Rope {
            base: f64::from(gguf.opt_f32(&key("rope.freq_base"))?.unwrap_or(10_000.0)),
            width: width_of_rope,
            scaling: scaling(gguf, named, context)?,
        },
    };
    let (mut ropes, mut layer_types) = (vec![rope], vec![LayerType { window, rope: 0 }; layers]);
    if named == "gemma3" {
        // Layers with a window have an embedding of their own; of each so many, the last one sees all. Most files say
        // nothing of either.
        let base = gguf.opt_f32(&key("rope.freq_base_swa"))?.map_or(10_000.0, f64::from);
        ropes.push(Rope { base, width: width_of_rope, scaling: Scaling::None });
        let pattern = or("attention.sliding_window_pattern", 6)?;
        for (index, layer) in layer_types.iter_mut().enumerate() {
            *layer = match (index + 1).is_multiple_of(pattern) || window.is_none() {
                true => LayerType { window: None, rope: 0 },
                false => LayerType { window, rope: 1 },
            };
        }
    }
    let experts = match architecture.mixture {
        true => Some(Experts {
            count: count("expert_count")?,
            chosen: count("expert_used_count")?,
            hidden: count("expert_feed_forward_length")?,
            among_chosen: true,
            layers: (0..layers)
                .map(|layer| gguf.opt_tensor(&format!("blk.{layer}.ffn_gate_inp.weight")).is_some())
                .collect(),
        }),
        false if gguf.opt_u32(&key("expert_count"))?.unwrap_or(0) != 0 => {
            let message = format!("{} changes the result and is not supported", key("expert_count"));
            return Err(gguf.path_error(message));
        }
        false => None,
    };
    // Of Gemma 3 the one with 27 billion weights scales by another width than its heads'; its files do not say so.
    let scale_of = if named == "gemma3" && layers == 62 { width / heads } else { head };
    let epsilon = match architecture.norm {
        Norm::Rms => "attention.layer_norm_rms_epsilon",
        Norm::Layer => "attention.layer_norm_epsilon",
    };
    Ok(Config {
        architecture,
        width,
        hidden: count("feed_forward_length")?,
        layers,
        heads,
        key_heads: or("attention.head_count_kv", heads)?,
        head,
        vocabulary: gguf.tensor("token_embd.weight")?.shape.first().map_or(0, |&rows| rows as usize),
        context,
        norm_eps: gguf.f32(&key(epsilon))?,
        ropes,
        layer_types,
        activation: Function::Gelu,
        embedding_scale: if architecture.scaled_embedding { (width as f32).sqrt() } else { 1.0 },
        attention_scale: 1.0 / (scale_of as f32).sqrt(),
        attention_cap: gguf.opt_f32(&key("attn_logit_softcapping"))?.filter(|&cap| cap != 0.0),
        logits_cap: gguf.opt_f32(&key("final_logit_softcapping"))?.filter(|&cap| cap != 0.0),
        tied: None,
        qkv_bias: architecture.qkv_bias,
        output_bias: architecture.bias,
        experts,
    })
}

/// How frequencies are stretched: by keys, or by a tensor of divisors.
fn scaling(gguf: &Gguf, architecture: &str, context: usize) -> Result<Scaling> {
    let key = |name: &str| format!("{architecture}.rope.scaling.{name}");
    if let Some(factors) = floats(gguf, "rope_freqs.weight")? {
        return Ok(Scaling::Factors(factors));
    }
    if let (Some(short), Some(long)) =
        (floats(gguf, "rope_factors_short.weight")?, floats(gguf, "rope_factors_long.weight")?)
    {
        let original = gguf.u32(&key("original_context_length"))? as usize;
        let magnitude = match gguf.opt_f32(&key("attn_factor"))? {
            Some(magnitude) => f64::from(magnitude),
            None if context <= original => 1.0,
            None => (1.0 + (context as f64 / original as f64).ln() / (original as f64).ln()).sqrt(),
        };
        return Ok(Scaling::Long { short, long, original, magnitude });
    }
    let factor = || gguf.f32(&key("factor")).map(f64::from);
    match gguf.opt_str(&key("type"))?.unwrap_or("none") {
        "none" => Ok(Scaling::None),
        "linear" => Ok(Scaling::Linear(factor()?)),
        "yarn" => {
            let number = |name: &str, default: f64| -> Result<f64> {
                Ok(gguf.opt_f32(&key(name))?.map_or(default, f64::from))
            };
            let factor = factor()?;
            Ok(Scaling::Yarn {
                factor,
                fast: number("yarn_beta_fast", 32.0)?,
                slow: number("yarn_beta_slow", 1.0)?,
                original: f64::from(gguf.u32(&key("original_context_length"))?),
                magnitude: number("attn_factor", 1.0)? * (1.0 + 0.1 * factor.max(1.0).ln()),
                truncate: true,
            })
        }
        other => {
            let message = format!("{} = {other:?} changes the result and is not supported", key("type"));
            Err(gguf.path_error(message))
        }
    }
}

/// The numbers of a tensor of one axis, if it is there.
fn floats(gguf: &Gguf, name: &str) -> Result<Option<Vec<f32>>> {
    let Some(info) = gguf.opt_tensor(name) else { return Ok(None) };
    if info.shape.len() != 1 || info.dtype != DType::F32 {
        return Err(gguf.path_error(format!("tensor {name} should be a row of F32")));
    }
    let mut values = vec![0.0; info.elements() as usize];
    blocks::dequantise(info.dtype, gguf.data(info), &mut values)
        .map_err(|message| gguf.path_error(format!("tensor {name}: {message}")))?;
    Ok(Some(values))
}
