//! The forward pass of a Llama-like model (Touvron et al. 2023, arXiv:2302.13971), as a list of kernel calls.

use super::config::Config;
use super::runner::Want;
use super::state::Cache;
use super::weights::Model;
use crate::Result;
use crate::gpu::{Element, Place, Recording, Tensor};
use crate::kernels::{Argmax, Attention, Embed, GateUp, Input, Product, QueryKeyValue};

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
    /// Feed-forward activations [T, F].
    pub hidden: Tensor,
}

impl Activations {
    /// Room for `tokens` tokens. Widths are whole blocks of 32, the rest zero.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn new(place: &Place, config: &Config, tokens: usize) -> Result<Self> {
        let tensor = |label: &str, width: usize| {
            Tensor::zeros(place, label, &[tokens, width.next_multiple_of(32)], Element::F32)
        };
        Ok(Self {
            ids: Tensor::uniform(place, "ids", tokens)?,
            x: tensor("x", config.width)?,
            middle: tensor("middle", config.width)?,
            q: tensor("q", config.heads * config.head)?,
            attended: tensor("attended", config.heads * config.head)?,
            hidden: tensor("hidden", config.hidden.next_multiple_of(64))?,
        })
    }
}

/// Records a step of `tokens` tokens whose ids are in `act.ids`, the first at position `step[0]`.
///
/// With [`Want::Last`] it ends with the logits of the last token [1, V], the greedy choice in `chosen[0]`, and `step`
/// advanced; with [`Want::All`] with the logits of all tokens [T, V].
#[allow(clippy::too_many_arguments)] // a forward pass has this many things to do with
pub fn record(
    model: &Model,
    cache: &Cache,
    act: &Activations,
    step: &Tensor,
    chosen: &Tensor,
    logits: &Tensor,
    tokens: usize,
    want: Want,
) -> Recording {
    let Config { head, norm_eps: eps, vocabulary, .. } = model.config;
    let mut rec = Recording::default();

    // x[t] = embedding of ids[t]                                                            [T, C]
    for w in model.token_embd.parts() {
        let (ids, w, y) = (act.ids.clone(), w.clone(), act.x.clone());
        rec.push("token_embd", Embed { ids, w, y, tokens, scale: 1.0 });
    }

    for (index, layer) in model.layers.iter().enumerate() {
        let name = |part: &str| format!("blk.{index}.{part}");
        let (keys, values) = (&cache.keys[index], &cache.values[index]);
        let rope = &cache.ropes[model.config.layer_types[index].rope];

        // Attention: q, k, v = rotated projections of norm(x); k and v go to the cache      [T, H * D]
        for (first_row, w) in
            layer.attn_qkv.iter().flat_map(|(first, w)| w.parts().iter().map(move |p| (first, p)))
        {
            rec.push(
                name("attn_qkv"),
                QueryKeyValue {
                    input: Input::normed(&act.x, &layer.attn_norm, eps, tokens),
                    w: w.clone(),
                    first_row: first_row + w.first,
                    step: step.clone(),
                    rope: rope.clone(),
                    q: act.q.clone(),
                    keys: keys.clone(),
                    values: values.clone(),
                },
            );
        }
        rec.push(
            name("attention"),
            Attention {
                step: step.clone(),
                q: act.q.clone(),
                keys: keys.clone(),
                values: values.clone(),
                y: act.attended.clone(),
                tokens,
                scale: 1.0 / (head as f32).sqrt(),
            },
        );
        // middle = x + W_o · attended                                                       [T, C]
        for w in layer.attn_output.parts() {
            let (residual, y) = (Some(act.x.clone()), act.middle.clone());
            let input = Input::plain(&act.attended, tokens);
            rec.push(name("attn_output"), Product { input, w: w.clone(), residual, y });
        }

        // Feed-forward: hidden = silu(W_gate · norm(middle)) * (W_up · norm(middle))        [T, F]
        for w in layer.ffn_gate_up.parts() {
            let input = Input::normed(&act.middle, &layer.ffn_norm, eps, tokens);
            rec.push(name("ffn_gate_up"), GateUp { input, w: w.clone(), y: act.hidden.clone() });
        }
        // x = middle + W_down · hidden                                                      [T, C]
        for w in layer.ffn_down.parts() {
            let (residual, y) = (Some(act.middle.clone()), act.x.clone());
            let input = Input::plain(&act.hidden, tokens);
            rec.push(name("ffn_down"), Product { input, w: w.clone(), residual, y });
        }
    }

    // logits = W_out · norm(x), of the last token or of all                                 [1 or T, V]
    let (first_token, count) = match want {
        Want::Nothing => return rec,
        Want::Last => (tokens - 1, 1),
        Want::All => (0, tokens),
    };
    for w in model.output_matrix().parts() {
        let normed = Input::normed(&act.x, &model.output_norm, eps, count);
        let input = Input { first_token, ..normed };
        rec.push("output", Product { input, w: w.clone(), residual: None, y: logits.clone() });
    }
    if want == Want::Last {
        rec.push(
            "argmax",
            Argmax {
                logits: logits.clone(),
                count: vocabulary,
                ids: chosen.clone(),
                step: step.clone(),
                advance: tokens,
            },
        );
    }
    rec
}
