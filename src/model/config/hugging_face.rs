//! The configuration from a Hugging Face folder's `config.json`, as `transformers` reads it.

use super::fields::Fields;
use super::{Config, Experts, LayerType, MOST_LAYERS};
use crate::Result;
use crate::format::Folder;
use crate::kernels::Function;
use crate::model::architecture::{Architecture, FeedForward, FieldNames, LocalLayers, ModelType};
use crate::model::rope::{RopeParameters, Scaling};
use serde_json::json;

pub(super) fn read(folder: &Folder) -> Result<Config> {
    let named = folder.model_type()?;
    let (architecture, model_type) = Architecture::of_model_type(named).map_err(|known| {
        folder.path_error(format!(
            "config.json: the model_type {named:?} is not supported; known are {known}"
        ))
    })?;
    let fields = Fields::new(folder, "", folder.config());
    let config = match model_type.fields {
        FieldNames::Gpt2 => gpt2(&fields, architecture)?,
        FieldNames::Within(inner) => {
            let Some(text) = fields.opt_object("text_config")? else {
                return Err(fields.wrong("text_config", "is missing; choose a complete model"));
            };
            text.only("model_type", &[json!(inner.name)])?;
            fields.only("tie_word_embeddings", &[json!(inner.tied)])?;
            // These fields concern images, which are not supported here.
            for name in EYES {
                fields.get(name);
            }
            let config = decoder(&text, architecture, inner)?;
            text.finish()?;
            config
        }
        FieldNames::Decoder => decoder(&fields, architecture, model_type)?,
    };
    fields.finish()?;
    Ok(config)
}

/// Fields of vision models that concern images only.
const EYES: [&str; 6] = [
    "vision_config",
    "boi_token_index",
    "eoi_token_index",
    "image_token_index",
    "image_token_id",
    "mm_tokens_per_image",
];

/// A count of layers, bounded so that a damaged file cannot ask for an enormous list.
fn layers(fields: &Fields, name: &str) -> Result<usize> {
    let layers = fields.count(name)?;
    if layers > MOST_LAYERS {
        return Err(fields.wrong(name, "is more than any model needs"));
    }
    Ok(layers)
}

/// Names that `transformers` has for GELU with the tanh approximation.
const GELU_BY_TANH: [&str; 5] =
    ["gelu_new", "gelu_pytorch_tanh", "gelu_fast", "gelu_accurate", "gelu_python_tanh"];

/// Names that `transformers` has for x sigmoid(x).
const SILU: [&str; 2] = ["silu", "swish"];

/// The configuration of GPT-2, which has its own field names.
fn gpt2(fields: &Fields, architecture: &'static Architecture) -> Result<Config> {
    let (width, heads, layers) =
        (fields.count("n_embd")?, fields.count("n_head")?, layers(fields, "n_layer")?);
    let activation = match fields.opt_text("activation_function")?.unwrap_or("gelu_new") {
        name if GELU_BY_TANH.contains(&name) => Function::Gelu,
        "gelu" | "gelu_python" => Function::GeluExact,
        "relu" => Function::Relu,
        name => {
            let message = format!(
                "= {name:?} changes the result; GELU in both of its forms and \"relu\" are \
                 supported"
            );
            return Err(fields.wrong("activation_function", message));
        }
    };
    fields.only("scale_attn_weights", &[json!(true)])?;
    let head = width / heads;
    if head * heads != width {
        return Err(
            fields.wrong("n_embd", format!("= {width} is not shared evenly by {heads} heads"))
        );
    }
    Ok(Config {
        architecture,
        hidden_size: width,
        intermediate_size: fields.opt_count("n_inner")?.unwrap_or(4 * width),
        n_layers: layers,
        n_heads: heads,
        n_kv_heads: heads,
        head_dim: head,
        vocab_size: fields.count("vocab_size")?,
        max_context: fields.opt_count("n_positions")?.unwrap_or(1024),
        norm_eps: fields.opt_number("layer_norm_epsilon")?.unwrap_or(1e-5) as f32,
        ropes: vec![RopeParameters::none()],
        layer_types: vec![LayerType { window: None, rope: 0 }; layers],
        activation,
        embedding_scale: 1.0,
        attention_scale: 1.0 / (head as f32).sqrt(),
        attention_cap: None,
        logits_cap: None,
        tied: Some(fields.flag("tie_word_embeddings", true)? && fields.repeats_embedding()),
        qkv_bias: true,
        output_bias: true,
        ffn_bias: true,
        scores_by_layer: fields.flag("scale_attn_by_inverse_layer_idx", false)?,
        experts: None,
    })
}

/// The configuration of a decoder with rotary positions.
fn decoder(
    fields: &Fields,
    architecture: &'static Architecture,
    model_type: &ModelType,
) -> Result<Config> {
    let or = |name: &str, default: Option<usize>| match fields.count_or(name, default)? {
        Some(count) => Ok(count),
        None => fields.count(name),
    };
    let (width, heads) =
        (fields.count("hidden_size")?, or("num_attention_heads", model_type.n_heads)?);
    let layers = layers(fields, "num_hidden_layers")?;
    let head = fields.count_or("head_dim", model_type.head_dim)?.unwrap_or(width / heads);
    // The name in files that predate its support in `transformers`.
    let old_context = fields.opt_count("max_sequence_length")?;
    let context = fields.opt_count("max_position_embeddings")?;
    let context = context.or(old_context).unwrap_or(model_type.max_context);
    let activations = match architecture.feed_forward {
        FeedForward::GeGlu => &GELU_BY_TANH[..],
        FeedForward::SwiGlu | FeedForward::Plain => &SILU,
    };
    let activations: Vec<_> = activations.iter().map(|name| json!(name)).collect();
    fields.only("hidden_act", &activations)?;
    fields.only("hidden_activation", &activations)?;
    let ffn_bias = model_type.mlp_bias && fields.flag("mlp_bias", false)?;
    fields.only("rope_interleaved", &[json!(false)])?;
    let bias = fields.flag("attention_bias", false)?;
    let is_stored = |part: &str| fields.has_tensor(&format!("blk.0.{part}.bias"));
    let has_bias = |part: &str| bias && (!model_type.biases_if_stored || is_stored(part));
    let qkv = if architecture.fused { "attn_qkv" } else { "attn_q" };
    let cap = |name: &str| fields.opt_number(name).map(|cap| cap.map(|cap| cap as f32));
    let unsaid = model_type.query_scale.filter(|_| fields.is_absent("query_pre_attn_scalar"));
    let scale_of = fields.opt_number("query_pre_attn_scalar")?.or(unsaid).unwrap_or(head as f64);
    Ok(Config {
        architecture,
        hidden_size: width,
        intermediate_size: fields.count("intermediate_size")?,
        n_layers: layers,
        n_heads: heads,
        n_kv_heads: fields.count_or("num_key_value_heads", model_type.n_kv_heads)?.unwrap_or(heads),
        head_dim: head,
        vocab_size: or("vocab_size", model_type.vocab_size)?,
        max_context: context,
        norm_eps: fields.opt_number("rms_norm_eps")?.unwrap_or(model_type.norm_eps) as f32,
        ropes: ropes(fields, head, context, architecture.local_layers, model_type.rope_theta)?,
        layer_types: layer_types(fields, layers, architecture.local_layers, model_type)?,
        activation: Function::Gelu,
        embedding_scale: if architecture.scaled_embedding { (width as f32).sqrt() } else { 1.0 },
        attention_scale: (1.0 / scale_of.sqrt()) as f32,
        attention_cap: cap("attn_logit_softcapping")?,
        logits_cap: cap("final_logit_softcapping")?,
        tied: Some(
            fields.flag("tie_word_embeddings", model_type.tied)? && fields.repeats_embedding(),
        ),
        qkv_bias: architecture.qkv_bias || has_bias(qkv),
        output_bias: architecture.bias || has_bias("attn_output"),
        ffn_bias: architecture.bias || ffn_bias,
        scores_by_layer: false,
        experts: if architecture.mixture { Some(experts(fields, layers)?) } else { None },
    })
}

/// A mixture of experts, under the names of old and new versions of `transformers`. Every n-th
/// layer has experts, except for those listed as dense.
fn experts(fields: &Fields, layers: usize) -> Result<Experts> {
    let count = match fields.opt_count("num_experts")? {
        Some(count) => count,
        None => fields.count("num_local_experts")?,
    };
    let step = fields.opt_count("decoder_sparse_step")?.unwrap_or(1);
    let dense = fields.opt_list("mlp_only_layers")?.unwrap_or_default();
    if let Some(strange) = dense.iter().find(|layer| layer.as_u64().is_none()) {
        return Err(fields.wrong("mlp_only_layers", format!("has {strange}, which is no layer")));
    }
    let is_dense = |layer: usize| dense.iter().any(|listed| listed.as_u64() == Some(layer as u64));
    Ok(Experts {
        n_experts: count,
        n_experts_used: fields.count("num_experts_per_tok")?,
        intermediate_size: fields.count("moe_intermediate_size")?,
        among_chosen: fields.flag("norm_topk_prob", false)?,
        layers: (0..layers)
            .map(|layer| (layer + 1).is_multiple_of(step) && !is_dense(layer))
            .collect(),
    })
}

/// Which layers see only a window: those listed as such, those from a given layer on, or all but
/// every n-th. Windowed layers may have their own rotary embedding.
fn layer_types(
    fields: &Fields,
    layers: usize,
    local_layers: Option<LocalLayers>,
    model_type: &ModelType,
) -> Result<Vec<LayerType>> {
    let first = model_type.window_from_layer;
    let used = fields.flag("use_sliding_window", first.is_none())?;
    let window = fields.count_or("sliding_window", model_type.window)?.filter(|_| used);
    let full = LayerType { window: None, rope: 0 };
    let local = LayerType { window, rope: usize::from(local_layers.is_some()) };
    let (old, new) =
        (fields.opt_count("sliding_window_pattern")?, fields.opt_count("_sliding_window_pattern")?);
    let Some(list) = fields.opt_list("layer_types")? else {
        let first = match first {
            Some(first) => fields.opt_count("max_window_layers")?.unwrap_or(first),
            None => 0,
        };
        // The last layer of each group of this many sees all tokens.
        let full_every = local_layers.map(|local| old.or(new).unwrap_or(local.full_every));
        let is_full = |layer: usize| {
            let is_last_of_some = full_every.is_some_and(|n| (layer + 1).is_multiple_of(n));
            window.is_none() || layer < first || is_last_of_some
        };
        return Ok((0..layers).map(|layer| if is_full(layer) { full } else { local }).collect());
    };
    if list.len() != layers {
        return Err(
            fields.wrong("layer_types", format!("has {} entries for {layers} layers", list.len()))
        );
    }
    let layer_type = |named: &serde_json::Value| match (named.as_str(), window) {
        (Some("full_attention"), _) => Ok(full),
        (Some("sliding_attention"), Some(_)) => Ok(local),
        _ => Err(fields.wrong("layer_types", format!("has {named}, which is not supported"))),
    };
    list.iter().map(layer_type).collect()
}

/// The rotary embeddings, as old and new versions of `transformers` write them: one, and a second
/// where there are windowed layers.
fn ropes(
    fields: &Fields,
    head: usize,
    context: usize,
    local_layers: Option<LocalLayers>,
    theta: f64,
) -> Result<Vec<RopeParameters>> {
    let theta = fields.opt_number("rope_theta")?.or(Some(theta));
    let local_theta = fields.opt_number("rope_local_base_freq")?;
    let partial = fields.opt_number("partial_rotary_factor")?;
    let (parameters, old) =
        (fields.opt_object("rope_parameters")?, fields.opt_object("rope_scaling")?);
    let read = |parameters: Option<Fields>, theta| -> Result<RopeParameters> {
        let rope = embedding(parameters.as_ref(), theta, partial, head, context, fields)?;
        parameters.map_or(Ok(()), Fields::finish)?;
        Ok(rope)
    };
    let parameters = parameters.or(old);
    let Some(local_layers) = local_layers else {
        return Ok(vec![read(parameters, theta)?]);
    };
    let local_theta = local_theta.or(Some(local_layers.rope_theta));
    match parameters {
        Some(both) if both.get("full_attention").is_some() => {
            let (full, local) =
                (both.opt_object("full_attention")?, both.opt_object("sliding_attention")?);
            let all = vec![read(full, theta)?, read(local, local_theta)?];
            both.finish()?;
            Ok(all)
        }
        one => Ok(vec![read(one, theta)?, read(None, local_theta)?]),
    }
}

fn embedding(
    parameters: Option<&Fields>,
    theta: Option<f64>,
    partial: Option<f64>,
    head: usize,
    context: usize,
    fields: &Fields,
) -> Result<RopeParameters> {
    let (mut base, mut share, mut scaling_of) = (theta, partial, None);
    if let Some(parameters) = parameters {
        base = parameters.opt_number("rope_theta")?.or(base);
        share = parameters.opt_number("partial_rotary_factor")?.or(share);
        scaling_of = Some(parameters);
    }
    let share = share.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&share) {
        return Err(fields.wrong("partial_rotary_factor", format!("= {share} is absurd")));
    }
    let width = (head as f64 * share) as usize;
    let scaling = match scaling_of {
        Some(parameters) => read_scaling(parameters, fields, context, width)?,
        None => Scaling::None,
    };
    Ok(RopeParameters { base: base.unwrap_or(10_000.0), width, scaling })
}

fn read_scaling(
    parameters: &Fields,
    fields: &Fields,
    context: usize,
    width: usize,
) -> Result<Scaling> {
    let named =
        parameters.opt_text("rope_type")?.or(parameters.opt_text("type")?).unwrap_or("default");
    // The context that the model was made for before stretching.
    let original = || -> Result<f64> {
        let own = parameters.opt_count("original_max_position_embeddings")?;
        let outer = fields.opt_count("original_max_position_embeddings")?;
        Ok(own.or(outer).unwrap_or(context) as f64)
    };
    match named {
        "default" => Ok(Scaling::None),
        // The base grows only for texts beyond the context, which are refused here.
        "dynamic" => {
            parameters.number("factor")?;
            original()?;
            Ok(Scaling::None)
        }
        "linear" => Ok(Scaling::Linear(parameters.number("factor")?)),
        "llama3" => Ok(Scaling::Llama3 {
            factor: parameters.number("factor")?,
            low: parameters.number("low_freq_factor")?,
            high: parameters.number("high_freq_factor")?,
            original: original()?,
        }),
        "yarn" => {
            let factor = parameters.number("factor")?;
            // The formula of the paper, 0.1 ln(s) + 1; some models multiply the logarithm by a
            // factor.
            let grown = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
            let (over, under) =
                (parameters.opt_number("mscale")?, parameters.opt_number("mscale_all_dim")?);
            let magnitude = match (parameters.opt_number("attention_factor")?, over, under) {
                (Some(given), ..) => given,
                (None, Some(over), Some(under)) if over != 0.0 && under != 0.0 => {
                    grown(over) / grown(under)
                }
                _ => grown(1.0),
            };
            Ok(Scaling::Yarn {
                factor,
                fast: parameters.opt_number("beta_fast")?.unwrap_or(32.0),
                slow: parameters.opt_number("beta_slow")?.unwrap_or(1.0),
                original: original()?,
                magnitude,
                truncate: parameters.flag("truncate", true)?,
            })
        }
        // "su" is an earlier name of the same method.
        "longrope" | "su" => {
            let original = original()?;
            let factor = parameters.opt_number("factor")?.unwrap_or(context as f64 / original);
            let grown =
                if factor <= 1.0 { 1.0 } else { (1.0 + factor.ln() / original.ln()).sqrt() };
            Ok(Scaling::Long {
                short: parameters.numbers("short_factor", width / 2)?,
                long: parameters.numbers("long_factor", width / 2)?,
                original: original as usize,
                magnitude: parameters.opt_number("attention_factor")?.unwrap_or(grown),
            })
        }
        other => Err(parameters.wrong("rope_type", format!("= {other:?} is not supported"))),
    }
}
