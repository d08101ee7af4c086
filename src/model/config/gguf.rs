//! The configuration from a GGUF file's metadata (`docs/gguf.md` of ggml-org/ggml, "LLM").

use super::keys::Keys;
use super::{Config, Experts, LayerType, MOST_LAYERS};
use crate::Result;
use crate::format::{Array, DType, Gguf, TensorInfo, Value, blocks};
use crate::kernels::Function;
use crate::model::architecture::{Architecture, Norm};
use crate::model::rope::{RopeParameters, Scaling};

pub(super) fn read(gguf: &Gguf) -> Result<Config> {
    let named = gguf.str("general.architecture")?;
    let architecture = Architecture::of_gguf(named).map_err(|known| {
        gguf.path_error(format!("the architecture {named:?} is not supported; known are {known}"))
    })?;
    let keys = Keys::new(gguf, named);
    let (width, layers) = (keys.count("embedding_length")?, keys.count("block_count")?);
    if layers > MOST_LAYERS {
        return Err(keys.wrong("block_count", format!("is {layers}, which no model needs")));
    }
    let heads = keys.count_of_all("attention.head_count", layers)?;
    let head = keys.count_or("attention.key_length", width / heads)?;
    if keys.count_or("attention.value_length", head)? != head {
        return Err(keys.wrong("attention.value_length", "differs from the keys'"));
    }
    let window = match keys.opt_u32("attention.sliding_window")? {
        None | Some(0) => None,
        Some(window) => Some(window as usize),
    };
    let context = keys.count("context_length")?;
    let width_of_rope = keys.count_or("rope.dimension_count", head)?;
    let base = keys.opt_f32("rope.freq_base")?.unwrap_or(10_000.0);
    let rope = if architecture.learned_positions {
        RopeParameters::none()
    } else {
        RopeParameters {
            base: base.into(),
            width: width_of_rope,
            scaling: scaling(&keys, context)?,
        }
    };
    let (mut ropes, mut layer_types) = (vec![rope], vec![LayerType { window, rope: 0 }; layers]);
    if let Some(local) = architecture.local_layers {
        // Most files state neither the frequencies of windowed layers nor which layers they are.
        let base = keys.opt_f32("rope.freq_base_swa")?.map_or(local.rope_theta, f64::from);
        ropes.push(RopeParameters { base, width: width_of_rope, scaling: Scaling::None });
        let local = local_layers(&keys, layers, local.full_every)?;
        for (layer, local) in layer_types.iter_mut().zip(local) {
            *layer = if local && window.is_some() {
                LayerType { window, rope: 1 }
            } else {
                LayerType { window: None, rope: 0 }
            };
        }
    }
    let experts = if architecture.mixture {
        Some(Experts {
            n_experts: keys.count("expert_count")?,
            n_experts_used: keys.count("expert_used_count")?,
            intermediate_size: keys.count("expert_feed_forward_length")?,
            among_chosen: keys.opt_bool("expert_weights_norm")?.unwrap_or(true),
            layers: (0..layers)
                .map(|layer| gguf.opt_tensor(&format!("blk.{layer}.ffn_gate_inp.weight")).is_some())
                .collect(),
        })
    } else {
        None
    };
    let by_width = architecture.gguf_layers_scaled_by_width == Some(layers);
    let scale_of = if by_width { width / heads } else { head };
    let epsilon = match architecture.norm {
        Norm::Rms => "attention.layer_norm_rms_epsilon",
        Norm::Layer => "attention.layer_norm_epsilon",
    };
    let has_bias = |parts: &[&str]| {
        let there = |layer, part| gguf.opt_tensor(&format!("blk.{layer}.{part}.bias")).is_some();
        (0..layers).any(|layer| parts.iter().any(|part| there(layer, part)))
    };
    let config = Config {
        architecture,
        hidden_size: width,
        intermediate_size: keys.count_of_all("feed_forward_length", layers)?,
        n_layers: layers,
        n_heads: heads,
        n_kv_heads: match keys.get("attention.head_count_kv") {
            Some(_) => keys.count_of_all("attention.head_count_kv", layers)?,
            None => heads,
        },
        head_dim: head,
        vocab_size: rows(gguf.tensor("token_embd.weight")?),
        max_context: context,
        norm_eps: keys.f32(epsilon)?,
        ropes,
        layer_types,
        activation: Function::Gelu,
        embedding_scale: if architecture.scaled_embedding { (width as f32).sqrt() } else { 1.0 },
        attention_scale: 1.0 / (scale_of as f32).sqrt(),
        attention_cap: keys.opt_f32("attn_logit_softcapping")?.filter(|&cap| cap != 0.0),
        logits_cap: keys.opt_f32("final_logit_softcapping")?.filter(|&cap| cap != 0.0),
        tied: None,
        // Some models use the family's name but have attention biases that the family lacks.
        qkv_bias: architecture.qkv_bias || has_bias(&["attn_q", "attn_k", "attn_v", "attn_qkv"]),
        output_bias: architecture.bias || has_bias(&["attn_output"]),
        ffn_bias: architecture.bias,
        scores_by_layer: false,
        experts,
    };
    keys.finish()?;
    Ok(config)
}

/// Whether each layer sees only a window `[L]`: as the file marks them, or all but the last of
/// every `full_every`, which the file can override.
fn local_layers(keys: &Keys, layers: usize, full_every: usize) -> Result<Vec<bool>> {
    let name = "attention.sliding_window_pattern";
    match keys.get(name) {
        Some(Value::Array(Array::Bool(list))) if list.len() == layers => Ok(list.clone()),
        Some(Value::Array(list)) => {
            let message =
                format!("has {} entries of type {}", list.len(), list.element_type_name());
            Err(keys.wrong(name, format!("{message}, not one bool for each of {layers} layers")))
        }
        _ => {
            let pattern = keys.count_or(name, full_every)?;
            Ok((1..=layers).map(|layer| !layer.is_multiple_of(pattern)).collect())
        }
    }
}

/// How rotary frequencies are stretched: by metadata keys, or by a tensor of divisors.
fn scaling(keys: &Keys, context: usize) -> Result<Scaling> {
    let tensors = ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];
    let [all, short, long] = tensors.map(|name| floats(keys.gguf, name));
    let by_tensors = match (all?, short?, long?) {
        (Some(factors), ..) => Scaling::Factors(factors),
        (None, Some(short), Some(long)) => {
            let original = keys.u32("rope.scaling.original_context_length")? as usize;
            let magnitude = match keys.opt_f32("rope.scaling.attn_factor")? {
                Some(magnitude) => f64::from(magnitude),
                None if context <= original => 1.0,
                None => {
                    (1.0 + (context as f64 / original as f64).ln() / (original as f64).ln()).sqrt()
                }
            };
            Scaling::Long { short, long, original, magnitude }
        }
        _ => return scaling_by_keys(keys),
    };
    match (keys.opt_str("rope.scaling.type")?, &by_tensors) {
        (Some("longrope"), Scaling::Long { .. }) => Ok(by_tensors),
        _ if scaling_by_keys(keys)? == Scaling::None => Ok(by_tensors),
        _ => {
            Err(keys.wrong("rope.scaling.type", "stretches frequencies that tensors stretch, too"))
        }
    }
}

fn scaling_by_keys(keys: &Keys) -> Result<Scaling> {
    // The key's name in files of 2023.
    let old = keys.opt_f32("rope.scale_linear")?;
    let factor = keys.opt_f32("rope.scaling.factor")?.filter(|&factor| factor != 0.0).or(old);
    // A factor without a type is linear, the first type there was.
    match keys.opt_str("rope.scaling.type")?.unwrap_or("linear") {
        "none" => Ok(Scaling::None),
        "linear" => Ok(match factor {
            None | Some(0.0 | 1.0) => Scaling::None,
            Some(factor) => Scaling::Linear(factor.into()),
        }),
        "yarn" => {
            let number = |name: &str, default: f64| -> Result<f64> {
                Ok(keys.opt_f32(&format!("rope.scaling.{name}"))?.map_or(default, f64::from))
            };
            let factor = f64::from(keys.f32("rope.scaling.factor")?);
            Ok(Scaling::Yarn {
                factor,
                fast: number("yarn_beta_fast", 32.0)?,
                slow: number("yarn_beta_slow", 1.0)?,
                original: f64::from(keys.u32("rope.scaling.original_context_length")?),
                magnitude: number("attn_factor", 1.0)? * (1.0 + 0.1 * factor.max(1.0).ln()),
                truncate: true,
            })
        }
        other => {
            let message = format!("= {other:?} changes the result and is not supported");
            Err(keys.wrong("rope.scaling.type", message))
        }
    }
}

/// Rows of a matrix; a vector has one row.
fn rows(info: &TensorInfo) -> usize {
    (info.elements() / info.shape.last().map_or(1, |&columns| columns.max(1))) as usize
}

/// The numbers of a tensor with one axis, if it is present.
fn floats(gguf: &Gguf, name: &str) -> Result<Option<Vec<f32>>> {
    let Some(info) = gguf.opt_tensor(name) else { return Ok(None) };
    if info.shape.len() != 1 || info.dtype != DType::F32 {
        return Err(gguf.path_error(format!("tensor {name} should be a row of F32")));
    }
    let mut values = vec![0.0; info.elements() as usize];
    blocks::dequantise(info.dtype, gguf.data(info), &mut values)
        .map_err(|message| gguf.tensor_error(name, message))?;
    Ok(Some(values))
}
