//! The forward pass of training, as a list of kernel calls: whole sequences, all in f32.

use super::config::{Feedforward, NormKind, Positions, Shape};
use super::network::Network;
use crate::Result;
use crate::gpu::{Device, Element, Recording, Tensor};
use crate::kernels::{
    Activate, Activation, BlockDiagonal, CausalAttention, CrossEntropy, Gather, Gemm, Heads,
    MeanLoss, Rope, RowNorm, SliceLast, Swiglu,
};
use crate::model::rope::{RopeParameters, Scaling};
use std::collections::HashMap;

/// The sequences of a step, on the device.
pub struct Batch {
    /// Token ids [B * T].
    pub ids: Tensor,
    /// What follows the last N of each sequence [B * N].
    pub targets: Tensor,
    /// Mean loss, accuracy and count, bits of f32 `[4]`.
    pub totals: Tensor,
    /// Word 0: which pass this is, where the passes of a step count for more or less.
    pub clock: Option<Tensor>,
    /// Sequences B.
    pub size: usize,
    /// Places of a sequence T.
    pub tokens: usize,
    /// How many of them, the last ones, have targets: N.
    pub loss_positions: usize,
}

/// Tensors by name: what one recording needs can be used by the next.
pub struct Workspace {
    device: Device,
    tensors: HashMap<String, Tensor>,
}

impl Workspace {
    /// Empty.
    pub fn new(device: &Device) -> Self {
        Self { device: device.clone(), tensors: HashMap::new() }
    }

    fn get(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        if let Some(known) = self.tensors.get(name).filter(|known| known.shape() == shape) {
            return Ok(known.clone());
        }
        let tensor = Tensor::zeros(&self.device, name, shape, Element::F32)?;
        self.tensors.insert(name.into(), tensor.clone());
        Ok(tensor)
    }

    /// The rotary table of `shape`: cosine and sine for each place and pair [T, D].
    fn rope(&mut self, shape: &Shape) -> Result<Tensor> {
        if let Some(known) = self.tensors.get("rope") {
            return Ok(known.clone());
        }
        let head = shape.head();
        let plain = || RopeParameters { base: 10_000.0, width: head, scaling: Scaling::None };
        let rope = shape.rope.clone().unwrap_or_else(plain);
        let table = rope.table(shape.context, head, shape.context);
        let tensor = Tensor::constant(&self.device, "rope", &[shape.context, head], &table)?;
        self.tensors.insert("rope".into(), tensor.clone());
        Ok(tensor)
    }
}

/// A recording in the making.
struct Pass<'a> {
    network: &'a Network,
    space: &'a mut Workspace,
    recording: Recording,
}

impl Pass<'_> {
    /// `y = x · Wᵀ (+ residual)`.
    fn linear(
        &mut self,
        name: &str,
        x: &Tensor,
        w: &str,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let added = self.low_rank(name, x, w, residual)?;
        let (w, residual) = (self.network.weights.get(w), added.as_ref().or(residual));
        let y = self.space.get(name, &[x.dim(0), w.dim(0)])?;
        self.recording.push(name, Gemm::linear(x, w, residual, &y));
        Ok(y)
    }

    /// `scale · B (A x) (+ residual)`, where an adapter adds to the matrix.
    fn low_rank(
        &mut self,
        name: &str,
        x: &Tensor,
        w: &str,
        residual: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        let Some(added) = self.network.adapter.as_ref().and_then(|adapter| adapter.of(w)) else {
            return Ok(None);
        };
        let [low_name, b_name, sum_name] =
            ["low", "lora_b", "added"].map(|part| format!("{name}.{part}"));
        let low = self.space.get(&low_name, &[x.dim(0), added.a.dim(0)])?;
        self.recording.push(low_name, Gemm::linear(x, added.a, None, &low));
        let b = match added.split {
            None => added.b.clone(),
            Some(split) => {
                let y = self.space.get(&b_name, &[added.b.dim(0), added.a.dim(0)])?;
                self.recording
                    .push(b_name, BlockDiagonal { x: added.b.clone(), y: y.clone(), split });
                y
            }
        };
        let sum = self.space.get(&sum_name, &[x.dim(0), b.dim(0)])?;
        let product = Gemm::linear(&low, &b, residual, &sum);
        self.recording.push(sum_name, Gemm { alpha: added.scale, ..product });
        Ok(Some(sum))
    }

    fn norm(&mut self, name: &str, x: &Tensor) -> Result<Tensor> {
        let y = self.space.get(name, x.shape())?;
        let stats = self.space.get(&format!("{name}.stats"), &[x.dim(0), 4])?;
        let gain = self.network.weights.get(name).clone();
        let bias = self.network.weights.find(&format!("{name}.bias")).cloned();
        let centred = self.network.shape.norm == NormKind::LayerNorm;
        self.recording.push(
            name,
            RowNorm {
                x: x.clone(),
                gain,
                bias,
                y: y.clone(),
                stats,
                centred,
                eps: self.network.shape.norm_eps,
            },
        );
        Ok(y)
    }

    fn pick(&mut self, name: &str, x: &Tensor, batch: &Batch) -> Result<Tensor> {
        if batch.loss_positions == batch.tokens {
            return Ok(x.clone());
        }
        let y = self.space.get(name, &[batch.size * batch.loss_positions, x.dim(1)])?;
        let (period, kept) = (batch.tokens, batch.loss_positions);
        self.recording.push(name, SliceLast { x: x.clone(), y: y.clone(), period, kept });
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
        if self.network.shape.positions != Positions::Rotary {
            return Ok(x);
        }
        let (rope, y) = (self.space.rope(&self.network.shape)?, self.space.get(name, x.shape())?);
        let base = None;
        let turned = Rope { x, rope, base, y: y.clone(), rotated, first, period, backwards: false };
        self.recording.push(name, turned);
        Ok(y)
    }
}

/// Records the loss of predicting the targets of `batch`. In the last layer only the places that
/// have targets are computed, but for their keys and values, which all are.
///
/// # Errors
/// When the device cannot hold the activations.
pub fn record(network: &Network, space: &mut Workspace, batch: &Batch) -> Result<Recording> {
    let Network { shape, weights, .. } = network;
    let Shape { n_layers, hidden_size, n_heads, n_kv_heads, intermediate_size, .. } = *shape;
    let Batch { size, tokens, .. } = *batch;
    let mut pass = Pass { network, space, recording: Recording::default() };

    // x[t] = embedding of token t, and of its place                                          [B *
    // T, C]
    let mut x = pass.space.get("x", &[size * tokens, hidden_size])?;
    let places = weights.find("position_embd").cloned();
    let (ids, table) = (batch.ids.clone(), weights.get("token_embd").clone());
    pass.recording.push("token_embd", Gather { ids, table, places, y: x.clone() });

    for layer in 0..n_layers {
        let name = |part: &str| format!("blk.{layer}.{part}");
        let last = layer + 1 == n_layers;
        let kept = if last { batch.loss_positions } else { tokens };

        // Attention: keys and values of all places, queries of those that are kept           [B *
        // N, C]
        let normed = pass.norm(&name("attn_norm"), &x)?;
        let kv = pass.linear(&name("attn_kv"), &normed, &name("attn_kv"), None)?;
        let kv = pass.rotate(&name("attn_kv.rotated"), kv, n_kv_heads * shape.head(), 0, tokens)?;
        let (seeing, residual) = match last {
            true => (
                pass.pick(&name("attn_norm.kept"), &normed, batch)?,
                pass.pick("x.kept", &x, batch)?,
            ),
            false => (normed, x),
        };
        let q = pass.linear(&name("attn_q"), &seeing, &name("attn_q"), None)?;
        let q = pass.rotate(&name("attn_q.rotated"), q, hidden_size, tokens - kept, kept)?;
        let attended = pass.space.get(&name("attention"), &[size * kept, hidden_size])?;
        let stats = pass.space.get(&name("attention.stats"), &[size * kept * n_heads, 4])?;
        let sizes = Heads {
            batch: size,
            tokens,
            queries: kept,
            n_heads,
            n_kv_heads,
            head_dim: shape.head(),
        };
        let attention = CausalAttention { q, kv, y: attended.clone(), stats, heads: sizes };
        pass.recording.push(name("attention"), attention);
        let middle =
            pass.linear(&name("attn_output"), &attended, &name("attn_output"), Some(&residual))?;

        // Feed-forward                                                                       [B *
        // N, F]
        let normed = pass.norm(&name("ffn_norm"), &middle)?;
        let up = pass.linear(&name("ffn_up"), &normed, &name("ffn_up"), None)?;
        let y = pass.space.get(&name("ffn_activation"), &[size * kept, intermediate_size])?;
        let activation = |kind| Activate { x: up.clone(), y: y.clone(), kind };
        match shape.feedforward {
            Feedforward::Relu => {
                pass.recording.push(name("ffn_activation"), activation(Activation::Relu))
            }
            Feedforward::Gelu => {
                pass.recording.push(name("ffn_activation"), activation(Activation::Gelu))
            }
            Feedforward::Swiglu => {
                pass.recording.push(name("ffn_activation"), Swiglu { x: up.clone(), y: y.clone() });
            }
        }
        x = pass.linear(&name("ffn_down"), &y, &name("ffn_down"), Some(&middle))?;
    }

    // The loss over the logits                                                               [B *
    // N, V]
    let normed = pass.norm("output_norm", &x)?;
    let output = if shape.tie_word_embeddings { "token_embd" } else { "output" };
    let logits = pass.linear("output", &normed, output, None)?;
    let rows = pass.space.get("losses", &[logits.dim(0), 4])?;
    let (targets, count) = (batch.targets.clone(), shape.vocab_size);
    pass.recording
        .push("cross_entropy", CrossEntropy { logits, targets, rows: rows.clone(), count });
    pass.recording.push(
        "mean_loss",
        MeanLoss { rows, totals: batch.totals.clone(), clock: batch.clock.clone() },
    );
    Ok(pass.recording)
}
