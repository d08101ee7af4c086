//! The forward pass of training, as a list of kernel calls: whole sequences, all in f32.

use super::config::{Feedforward, NormKind, Positions, Shape};
use super::parameters::Parameters;
use crate::Result;
use crate::gpu::{Element, Place, Recording, Tensor};
use crate::kernels::{
    Activate, Activation, CausalAttention, CrossEntropy, Gather, Gemm, Heads, MeanLoss, Pick, Rotate,
    RowNorm, Swiglu,
};
use std::collections::HashMap;

/// The sequences of a step, on the device.
pub struct Batch {
    /// Token ids [B * T].
    pub ids: Tensor,
    /// What follows the last N of each sequence [B * N].
    pub targets: Tensor,
    /// Mean loss, accuracy and count, bits of f32 `[4]`.
    pub totals: Tensor,
    /// Sequences B.
    pub size: usize,
    /// Places of a sequence T.
    pub tokens: usize,
    /// How many of them, the last ones, have targets: N.
    pub kept: usize,
}

/// Tensors by name: what one recording needs can be used by the next.
pub struct Workspace {
    place: Place,
    tensors: HashMap<String, Tensor>,
}

impl Workspace {
    /// Empty.
    pub fn new(place: &Place) -> Self {
        Self { place: place.clone(), tensors: HashMap::new() }
    }

    fn get(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Some(known) = self.tensors.get(name).filter(|known| known.shape() == shape) {
            return Ok(known.clone());
        }
        let tensor = Tensor::zeros(&self.place, name, shape, Element::F32)?;
        self.tensors.insert(name.into(), tensor.clone());
        Ok(tensor)
    }

    /// The rotary table of `shape`: cosine and sine for each place and pair [T, D].
    fn rope(&mut self, shape: &Shape) -> Result<Tensor> {
        if let Some(known) = self.tensors.get("rope") {
            return Ok(known.clone());
        }
        let head = shape.head();
        let angle = |n: usize| {
            let (place, pair) = (n / (head / 2), n % (head / 2));
            place as f64 * 10_000f64.powf(-2.0 * pair as f64 / head as f64)
        };
        let turns = (0..shape.context * head / 2).map(angle);
        let table: Vec<f32> = turns.flat_map(|angle| [angle.cos() as f32, angle.sin() as f32]).collect();
        let tensor = Tensor::constant(&self.place, "rope", &[shape.context, head], &table)?;
        self.tensors.insert("rope".into(), tensor.clone());
        Ok(tensor)
    }
}

/// A recording in the making.
struct Pass<'a> {
    shape: &'a Shape,
    parameters: &'a Parameters,
    space: &'a mut Workspace,
    recording: Recording,
}

impl Pass<'_> {
    /// `y = x · Wᵀ (+ residual)`.
    fn linear(&mut self, name: &str, x: &Tensor, w: &str, residual: Option<&Tensor>) -> Result<Tensor> {
        let w = self.parameters.get(w);
        let y = self.space.get(name, &[x.dim(0), w.dim(0)])?;
        self.recording.push(name, Gemm::linear(x, w, residual, &y));
        Ok(y)
    }

    fn norm(&mut self, name: &str, x: &Tensor) -> Result<Tensor> {
        let y = self.space.get(name, x.shape())?;
        let stats = self.space.get(&format!("{name}.stats"), &[x.dim(0), 4])?;
        let gain = self.parameters.get(name).clone();
        let bias = self.parameters.find(&format!("{name}.bias")).cloned();
        let centred = self.shape.norm == NormKind::LayerNorm;
        self.recording
            .push(name, RowNorm { x: x.clone(), gain, bias, y: y.clone(), stats, centred, eps: 1e-5 });
        Ok(y)
    }

    fn pick(&mut self, name: &str, x: &Tensor, batch: &Batch) -> Result<Tensor> {
        if batch.kept == batch.tokens {
            return Ok(x.clone());
        }
        let y = self.space.get(name, &[batch.size * batch.kept, x.dim(1)])?;
        let (period, kept) = (batch.tokens, batch.kept);
        self.recording.push(name, Pick { x: x.clone(), y: y.clone(), period, kept });
        Ok(y)
    }

    fn rotate(
        &mut self,
        name: &str,
        x: Tensor,
        rotated: usize,
        first: usize,
        period: usize,
    ) -> Result<Tensor> {
        if self.shape.positions != Positions::Rotary {
            return Ok(x);
        }
        let (rope, y) = (self.space.rope(self.shape)?, self.space.get(name, x.shape())?);
        let base = None;
        let turned = Rotate { x, rope, base, y: y.clone(), rotated, first, period, backwards: false };
        self.recording.push(name, turned);
        Ok(y)
    }
}

/// Records the loss of predicting the targets of `batch`. In the last layer only the places that have targets are
/// computed, but for their keys and values, which all are.
///
/// # Errors
/// When the device cannot hold the activations.
pub fn record(
    shape: &Shape,
    parameters: &Parameters,
    space: &mut Workspace,
    batch: &Batch,
) -> Result<Recording> {
    let Shape { layers, width, heads, key_heads, hidden, .. } = *shape;
    let Batch { size, tokens, .. } = *batch;
    let mut pass = Pass { shape, parameters, space, recording: Recording::default() };

    // x[t] = embedding of token t, and of its place                                          [B * T, C]
    let mut x = pass.space.get("x", &[size * tokens, width])?;
    let places = parameters.find("position_embd").cloned();
    let (ids, table) = (batch.ids.clone(), parameters.get("token_embd").clone());
    pass.recording.push("token_embd", Gather { ids, table, places, y: x.clone() });

    for layer in 0..layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let last = layer + 1 == layers;
        let kept = if last { batch.kept } else { tokens };

        // Attention: keys and values of all places, queries of those that are kept           [B * N, C]
        let normed = pass.norm(&name("attn_norm"), &x)?;
        let kv = pass.linear(&name("attn_kv"), &normed, &name("attn_kv"), None)?;
        let kv = pass.rotate(&name("attn_kv.rotated"), kv, key_heads * shape.head(), 0, tokens)?;
        let (seeing, residual) = match last {
            true => (pass.pick(&name("attn_norm.kept"), &normed, batch)?, pass.pick("x.kept", &x, batch)?),
            false => (normed, x),
        };
        let q = pass.linear(&name("attn_q"), &seeing, &name("attn_q"), None)?;
        let q = pass.rotate(&name("attn_q.rotated"), q, width, tokens - kept, kept)?;
        let attended = pass.space.get(&name("attention"), &[size * kept, width])?;
        let stats = pass.space.get(&name("attention.stats"), &[size * kept * heads, 4])?;
        let sizes = Heads { batch: size, tokens, queries: kept, heads, key_heads, head: shape.head() };
        let attention = CausalAttention { q, kv, y: attended.clone(), stats, heads: sizes };
        pass.recording.push(name("attention"), attention);
        let middle = pass.linear(&name("attn_output"), &attended, &name("attn_output"), Some(&residual))?;

        // Feed-forward                                                                       [B * N, F]
        let normed = pass.norm(&name("ffn_norm"), &middle)?;
        let up = pass.linear(&name("ffn_up"), &normed, &name("ffn_up"), None)?;
        let y = pass.space.get(&name("ffn_activation"), &[size * kept, hidden])?;
        let activation = |kind| Activate { x: up.clone(), y: y.clone(), kind };
        match shape.feedforward {
            Feedforward::Relu => pass.recording.push(name("ffn_activation"), activation(Activation::Relu)),
            Feedforward::Gelu => pass.recording.push(name("ffn_activation"), activation(Activation::Gelu)),
            Feedforward::Swiglu => {
                pass.recording.push(name("ffn_activation"), Swiglu { x: up.clone(), y: y.clone() });
            }
        }
        x = pass.linear(&name("ffn_down"), &y, &name("ffn_down"), Some(&middle))?;
    }

    // The loss over the logits                                                               [B * N, V]
    let normed = pass.norm("output_norm", &x)?;
    let output = if shape.tied { "token_embd" } else { "output" };
    let logits = pass.linear("output", &normed, output, None)?;
    let rows = pass.space.get("losses", &[logits.dim(0), 4])?;
    let (targets, count) = (batch.targets.clone(), shape.vocabulary);
    pass.recording.push("cross_entropy", CrossEntropy { logits, targets, rows: rows.clone(), count });
    pass.recording.push("mean_loss", MeanLoss { rows, totals: batch.totals.clone() });
    Ok(pass.recording)
}
