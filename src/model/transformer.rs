//! The forward pass of a transformer as a list of kernel calls: a Llama-like one (Touvron et al.
//! 2023, arXiv:2302.13971), with what other families do differently where they do it.

use super::architecture::{FeedForward, Norm as NormKind};
use super::config::Config;
use super::lora::{AdditionActivations, with_addition};
use super::mixture::{self, MixtureActivations};
use super::runner::LogitsMode;
use super::state::Cache;
use super::weights::{Dense, Ffn, Gain, Layer, Weights};
use crate::Result;
use crate::gpu::{Device, Element, Recording, Tensor};
use crate::kernels::{
    AddPositions, Argmax, Attention, CacheType, Embed, Function, Gate, GateUp, Input, Linear,
    Matmul, Matrix, MergePieces, Norm, Pieces, QkNormRope, QkvRopeCache,
};

/// What a step of up to T tokens needs beside weights and cache.
pub struct Activations {
    /// Token ids `[T]`.
    pub ids: Tensor,
    /// The residual stream between blocks [T, C].
    pub x: Tensor,
    /// The residual stream within a block [T, C].
    pub middle: Tensor,
    /// Rotated queries [T, H * D].
    pub q: Tensor,
    /// What the heads attended to [T, H * D].
    pub attended: Tensor,
    /// The same of pieces of a long cache [P, H * D], where one token's is read in pieces.
    pub partial: Option<(Tensor, Pieces)>,
    /// Feed-forward activations [T, F].
    pub hidden: Tensor,
    /// Queries, keys and values before their heads are normalised, or stored as bytes [T, (H + 2 K)
    /// D]; empty where they are not.
    pub projected: Tensor,
    /// The stream normalised by a pass of its own, or what a block gives before it is [T, C]; empty
    /// where neither is.
    pub aside: Tensor,
    /// What mixtures of experts need besides.
    pub mixture: Option<MixtureActivations>,
    /// What additions to the products need.
    pub additions: Option<AdditionActivations>,
}

impl Activations {
    /// Room for `tokens` tokens. Widths are whole blocks of 32, the rest zero.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn new(device: &Device, model: &Weights, tokens: usize, cache: CacheType) -> Result<Self> {
        let config = &model.config;
        let tensor = |label: &str, width: usize| {
            Tensor::zeros(device, label, &[tokens, width.next_multiple_of(32)], Element::F32)
        };
        let family = config.architecture;
        let if_so = |so: bool, width: usize| if so { width } else { 0 };
        let all_heads = (config.n_heads + 2 * config.n_kv_heads) * config.head_dim;
        Ok(Self {
            ids: Tensor::uniform(device, "ids", tokens)?,
            x: tensor("x", config.hidden_size)?,
            middle: tensor("middle", config.hidden_size)?,
            q: tensor("q", config.n_heads * config.head_dim)?,
            attended: tensor("attended", config.n_heads * config.head_dim)?,
            partial: if tokens == 1 { partial(device, config)? } else { None },
            hidden: tensor("hidden", config.intermediate_size.next_multiple_of(64))?,
            projected: tensor(
                "projected",
                if_so(family.head_norms || cache == CacheType::Q8_0, all_heads),
            )?,
            aside: tensor(
                "aside",
                if_so(family.post_norms || family.norm == NormKind::Layer, config.hidden_size),
            )?,
            mixture: match &config.experts {
                Some(experts) => Some(MixtureActivations::new(device, config, experts, tokens)?),
                None => None,
            },
            additions: AdditionActivations::new(device, model, tokens)?,
        })
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        let Self {
            ids,
            x,
            middle,
            q,
            attended,
            partial,
            hidden,
            projected,
            aside,
            mixture,
            additions,
        } = self;
        let own =
            [ids, x, middle, q, attended, hidden, projected, aside].into_iter().map(Tensor::bytes);
        own.sum::<u64>()
            + partial.as_ref().map_or(0, |(sums, pieces)| sums.bytes() + pieces.stats.bytes())
            + mixture.as_ref().map_or(0, MixtureActivations::bytes)
            + additions.as_ref().map_or(0, AdditionActivations::bytes)
    }
}

/// Pieces that one token's cache is read in: the fewest whose count times that of key heads divides
/// evenly among the workgroups that run at the same time.
fn partial(device: &Device, config: &Config) -> Result<Option<(Tensor, Pieces)>> {
    let Device::Gpu(gpu) = device else { return Ok(None) };
    let workers = gpu.capabilities().concurrent_workgroups as usize;
    let count = (1..=workers)
        .find(|count| (count * config.n_kv_heads).is_multiple_of(workers))
        .unwrap_or(1);
    // Their sums meet in an order that depends on how many tokens a step has.
    if count == 1 || gpu.capabilities().deterministic {
        return Ok(None);
    }
    let sums =
        Tensor::zeros(device, "partial", &[count, config.n_heads * config.head_dim], Element::F32)?;
    let stats = Tensor::zeros(device, "stats", &[count, config.n_heads, 4], Element::F32)?;
    Ok(Some((sums, Pieces { count, stats })))
}

/// Positions of the cache from which on pieces gain more than putting them together costs.
const LONG: usize = 512;

/// Records a step of `tokens` tokens whose ids are in `act.ids`, the first at position `step[0]`.
///
/// With [`LogitsMode::Last`] it ends with the logits of the last token [1, V], the greedy choice in
/// `chosen[0]`, and `step` advanced; with [`LogitsMode::All`] with the logits of all tokens [T, V].
#[allow(clippy::too_many_arguments)] // a forward pass has this many things to do with
pub fn record(
    model: &Weights,
    cache: &Cache,
    act: &Activations,
    step: &Tensor,
    chosen: &Tensor,
    logits: &Tensor,
    tokens: usize,
    want: LogitsMode,
) -> Recording {
    let config = &model.config;
    let family = config.architecture;
    // Heads that are normalised, or stored as bytes, have their numbers meet after the product.
    let by_heads = family.head_norms || cache.kind == CacheType::Q8_0;
    let mut rec = Recording::default();

    // x[t] = embedding of ids[t], plus that of its position where it is learned             [T, C]
    let embedded = if family.learned_positions { &act.middle } else { &act.x };
    for w in model.token_embd.parts() {
        let (ids, w, y, scale) =
            (act.ids.clone(), w.clone(), embedded.clone(), config.embedding_scale);
        rec.push("token_embd", Embed { ids, w, y, tokens, scale });
    }
    if let Some(w) = &model.position_embd {
        let (step, x, w, y) = (step.clone(), embedded.clone(), w.clone(), act.x.clone());
        rec.push("position_embd", AddPositions { step, x, w, y, tokens });
    }

    for (index, layer) in model.layers.iter().enumerate() {
        let name = |part: &str| format!("blk.{index}.{part}");
        let first = rec.entries().len();
        let kept = &cache.layers[index];
        let layer_type = config.layer_types[index];
        let rope = &cache.ropes[layer_type.rope];

        // Attention: q, k, v = rotated projections of norm(x); k and v go to the cache      [T, H *
        // D]
        let normed =
            normed(&mut rec, &name("attn_norm"), config, act, &act.x, &layer.attn_norm, 0, tokens);
        let normed = normed.with_bias(layer.attn_qkv_bias.as_ref());
        let (additions, room) = (&layer.additions, act.additions.as_ref());
        let normed =
            with_addition(&mut rec, &name("attn_qkv"), room, normed, additions.attn_qkv.as_ref());
        for (first, part) in layer
            .attn_qkv
            .iter()
            .flat_map(|(first, w)| w.parts().iter().map(move |part| (first, part)))
        {
            let (input, w) = (normed.clone(), part.clone());
            let first_row = first + part.first;
            if by_heads {
                let (y, function) = (act.projected.clone(), Function::Identity);
                rec.push(name("attn_qkv"), Linear { input, w, first_row, function, y });
                continue;
            }
            let (step, rope, q) = (step.clone(), rope.clone(), act.q.clone());
            let cache = kept.clone();
            rec.push(name("attn_qkv"), QkvRopeCache { input, w, first_row, step, rope, q, cache });
        }
        if by_heads {
            rec.push(
                name("qk_norm_rope"),
                QkNormRope {
                    x: act.projected.clone(),
                    gains: layer.head_norms.clone(),
                    eps: config.norm_eps,
                    step: step.clone(),
                    rope: rope.clone(),
                    q: act.q.clone(),
                    cache: kept.clone(),
                    tokens,
                },
            );
        }
        let partial = act.partial.as_ref().filter(|_| cache.capacity > LONG);
        rec.push(
            name("attention"),
            Attention {
                step: step.clone(),
                q: act.q.clone(),
                cache: kept.clone(),
                y: partial.map_or(&act.attended, |(sums, _)| sums).clone(),
                pieces: partial.map(|(_, pieces)| pieces.clone()),
                tokens,
                scale: config.attention_scale_of(index),
                window: layer_type.window,
                cap: config.attention_cap,
            },
        );
        if let Some((sums, pieces)) = partial {
            let (x, pieces, y) = (sums.clone(), pieces.clone(), act.attended.clone());
            rec.push(name("merge_pieces"), MergePieces { x, pieces, y });
        }
        // middle = x + W_o · attended                                                       [T, C]
        let input = Input::plain(&act.attended, tokens).with_bias(layer.attn_output_bias.as_ref());
        let input = with_addition(
            &mut rec,
            &name("attn_output"),
            room,
            input,
            additions.attn_output.as_ref(),
        );
        let (w, after) = (&layer.attn_output, &layer.post_attention_norm);
        join(&mut rec, &name("attn_output"), config, act, input, w, after, &act.x, &act.middle);

        // Feed-forward: x = middle + ffn(norm(middle))                                      [T, C]
        match &layer.ffn {
            Ffn::Dense(ffn) => feed_forward(&mut rec, &name, config, act, layer, ffn, tokens),
            Ffn::Mixture(ffn) => mixture::record(&mut rec, &name, config, act, layer, ffn, tokens),
        }
        rec.block_from(first);
    }

    // logits = W_out · norm(x), of the last token or of all                                 [1 or
    // T, V]
    let (first_token, count) = match want {
        LogitsMode::Nothing => return rec,
        LogitsMode::Last => (tokens - 1, 1),
        LogitsMode::All => (0, tokens),
    };
    let input = normed(
        &mut rec,
        "output_norm",
        config,
        act,
        &act.x,
        &model.output_norm,
        first_token,
        count,
    );
    for w in model.output_matrix().parts() {
        let (input, w, y) = (input.clone(), w.clone(), logits.clone());
        match config.logits_cap {
            None => rec.push("output", Matmul { input, w, residual: None, y }),
            Some(cap) => {
                let (first_row, function) = (w.first, Function::Cap(cap));
                rec.push("output", Linear { input, w, first_row, function, y });
            }
        }
    }
    if want == LogitsMode::Last {
        rec.push(
            "argmax",
            Argmax {
                logits: logits.clone(),
                count: config.vocab_size,
                ids: chosen.clone(),
                step: step.clone(),
                advance: tokens,
            },
        );
    }
    rec
}

/// hidden = gate(W_gate · norm(middle)) * (W_up · norm(middle)) [T, F], and x = middle + W_down ·
/// hidden [T, C].
fn feed_forward(
    rec: &mut Recording,
    name: &dyn Fn(&str) -> String,
    config: &Config,
    act: &Activations,
    layer: &Layer,
    ffn: &Dense,
    tokens: usize,
) {
    let normed =
        normed(rec, &name("ffn_norm"), config, act, &act.middle, &layer.ffn_norm, 0, tokens);
    let (additions, room) = (&layer.additions, act.additions.as_ref());
    let normed = normed.with_bias(ffn.up_bias.as_ref());
    let normed =
        with_addition(rec, &name("ffn_gate_up"), room, normed, additions.ffn_gate_up.as_ref());
    for w in ffn.gate_up.parts() {
        let (input, w, y) = (normed.clone(), w.clone(), act.hidden.clone());
        match config.architecture.feed_forward {
            FeedForward::SwiGlu => {
                rec.push(name("ffn_gate_up"), GateUp { input, w, y, gate: Gate::Silu })
            }
            FeedForward::GeGlu => {
                rec.push(name("ffn_gate_up"), GateUp { input, w, y, gate: Gate::Gelu })
            }
            FeedForward::Plain => {
                let first_row = w.first;
                rec.push(
                    name("ffn_up"),
                    Linear { input, w, first_row, function: config.activation, y },
                );
            }
        }
    }
    let input = Input::plain(&act.hidden, tokens).with_bias(ffn.down_bias.as_ref());
    let input = with_addition(rec, &name("ffn_down"), room, input, additions.ffn_down.as_ref());
    join(
        rec,
        &name("ffn_down"),
        config,
        act,
        input,
        &ffn.down,
        &layer.post_ffw_norm,
        &act.middle,
        &act.x,
    );
}

/// `tokens` rows of x from `first_token` on, normalised: within the product that follows, or before
/// it in a pass.
#[allow(clippy::too_many_arguments)] // a norm and where it goes
pub(super) fn normed(
    rec: &mut Recording,
    label: &str,
    config: &Config,
    act: &Activations,
    x: &Tensor,
    norm: &Gain,
    first_token: usize,
    tokens: usize,
) -> Input {
    let eps = config.norm_eps;
    if config.architecture.norm == NormKind::Rms {
        return Input { first_token, ..Input::normed(x, &norm.gain, eps, tokens) };
    }
    rec.push(
        label,
        Norm {
            x: x.clone(),
            gain: norm.gain.clone(),
            bias: norm.bias.clone(),
            residual: None,
            y: act.aside.clone(),
            columns: config.hidden_size,
            eps,
            centred: true,
            first_token,
            tokens,
        },
    );
    Input::plain(&act.aside, tokens)
}

/// y = residual + W · input, the product being normalised first where there is a norm `after` it.
#[allow(clippy::too_many_arguments)] // a product, a norm and where they go
fn join(
    rec: &mut Recording,
    label: &str,
    config: &Config,
    act: &Activations,
    input: Input,
    w: &Matrix,
    after: &Option<Gain>,
    residual: &Tensor,
    y: &Tensor,
) {
    let tokens = input.tokens;
    for w in w.parts() {
        let (input, w) = (input.clone(), w.clone());
        let (residual, y) = match after {
            None => (Some(residual.clone()), y.clone()),
            Some(_) => (None, act.aside.clone()),
        };
        rec.push(label, Matmul { input, w, residual, y });
    }
    if let Some(norm) = after {
        rec.push(
            format!("{label}_norm"),
            Norm {
                x: act.aside.clone(),
                gain: norm.gain.clone(),
                bias: None,
                residual: Some(residual.clone()),
                y: y.clone(),
                columns: config.hidden_size,
                eps: config.norm_eps,
                centred: false,
                first_token: 0,
                tokens,
            },
        );
    }
}
