//! The forward pass of training as a list of kernel calls: whole sequences, all in f32.
//!
//! Shapes: B sequences of T tokens, the last N of which have targets, V vocabulary, C width of the
//! stream, H heads of queries and K of keys, each D wide, F width of the feed-forward part.

use super::config::{Feedforward, NormKind, Positions, Shape};
use super::network::Network;
use crate::Result;
use crate::gpu::{Device, Element, Kernel, Recording, Tensor};
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
    /// The token that follows each of the last N tokens of each sequence [B * N].
    pub targets: Tensor,
    /// Mean loss, accuracy and count, as the bits of f32 `[4]`.
    pub totals: Tensor,
    /// The first element is the index of the current forward pass, if the passes of a step have
    /// different weights.
    pub clock: Option<Tensor>,
    /// Sequences B.
    pub size: usize,
    /// Positions of a sequence, T.
    pub tokens: usize,
    /// Number of positions at the end of a sequence that have targets, N.
    pub loss_positions: usize,
}

/// Named tensors, which the recordings of several batches share.
pub struct Workspace {
    device: Device,
    tensors: HashMap<String, Tensor>,
}

impl Workspace {
    /// Creates a workspace without tensors.
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

    /// The rotary table of `shape`: cosine and sine for each position and pair [T, D].
    fn rotary_table(&mut self, shape: &Shape) -> Result<Tensor> {
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

/// Builds the recording of a forward pass. Each method appends kernel calls and returns the tensor
/// that they write.
struct Pass<'a> {
    network: &'a Network,
    space: &'a mut Workspace,
    batch: &'a Batch,
    /// Prefix of labels and of weights' names: "blk.3." within a layer.
    prefix: String,
    recording: Recording,
}

impl Pass<'_> {
    /// The label of a call, or the name of a weight, in the current layer.
    fn label(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A tensor of the workspace for the current layer.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.space.get(&self.label(name), shape)
    }

    /// Appends a call whose label is `name` after the layer's prefix.
    fn push(&mut self, name: &str, kernel: impl Kernel + 'static) {
        self.recording.push(self.label(name), kernel);
    }

    /// x = embedding of each token, plus the embedding of its position where positions are learned.
    fn embed(&mut self) -> Result<Tensor> {
        let (weights, rows) = (&self.network.weights, self.batch.size * self.batch.tokens);
        let ids = self.batch.ids.clone();
        let table = weights.get("token_embd").clone();
        let places = weights.find("position_embd").cloned();
        let x = self.tensor("x", &[rows, self.network.shape.hidden_size])?;
        self.push("token_embd", Gather { ids, table, places, y: x.clone() });
        Ok(x)
    }

    /// One block: x += attention(norm(x)), then x += ffn(norm(x)). It computes queries, and returns
    /// x, only for the last `queries` tokens of each sequence [B * queries, C].
    fn layer(&mut self, index: usize, queries: usize, x: Tensor) -> Result<Tensor> {
        self.prefix = format!("blk.{index}.");
        let Batch { tokens, .. } = *self.batch;

        let normed = self.norm("attn_norm", &x)?; // [B * T, C]
        let kv = self.linear("attn_kv", &normed, "attn_kv", None)?; // [B * T, 2 * K * D]
        let keys = kv.dim(1) / 2;
        let kv = self.rope("attn_kv.rotated", kv, keys, tokens)?; // [B * T, 2 * K * D]
        let normed = self.slice_last(&self.label("attn_norm.kept"), normed, queries)?; // [B * N, C]
        let x = self.slice_last("x.kept", x, queries)?; // [B * N, C]
        let q = self.linear("attn_q", &normed, "attn_q", None)?; // [B * N, H * D]
        let heads = q.dim(1);
        let q = self.rope("attn_q.rotated", q, heads, queries)?; // [B * N, H * D]
        let attended = self.attention(q, kv, queries)?; // [B * N, H * D]
        let middle = self.linear("attn_output", &attended, "attn_output", Some(&x))?; // [B * N, C]

        let normed = self.norm("ffn_norm", &middle)?; // [B * N, C]
        let up = self.linear("ffn_up", &normed, "ffn_up", None)?; // [B * N, F], 2 F with a gate
        let hidden = self.activate("ffn_activation", up)?; // [B * N, F]
        self.linear("ffn_down", &hidden, "ffn_down", Some(&middle)) // [B * N, C]
    }

    /// norm(x), with the gain that `name` selects.
    fn norm(&mut self, name: &str, x: &Tensor) -> Result<Tensor> {
        let y = self.tensor(name, x.shape())?;
        let stats = self.tensor(&format!("{name}.stats"), &[x.dim(0), 4])?;
        let Network { shape, weights, .. } = self.network;
        let label = self.label(name);
        let norm = RowNorm {
            x: x.clone(),
            gain: weights.get(&label).clone(),
            bias: weights.find(&format!("{label}.bias")).cloned(),
            y: y.clone(),
            stats,
            centred: shape.norm == NormKind::LayerNorm,
            eps: shape.norm_eps,
        };
        self.push(name, norm);
        Ok(y)
    }

    /// x · Wᵀ (+ residual), with what an adapter adds; `w` names the matrix.
    fn linear(
        &mut self,
        name: &str,
        x: &Tensor,
        w: &str,
        residual: Option<&Tensor>,
    ) -> Result<Tensor> {
        let added = self.low_rank(name, x, w, residual)?;
        let w = self.network.weights.get(&self.label(w));
        let y = self.tensor(name, &[x.dim(0), w.dim(0)])?;
        self.push(name, Gemm::linear(x, w, added.as_ref().or(residual), &y));
        Ok(y)
    }

    /// scale · B (A x) (+ residual), where an adapter adds to the matrix.
    fn low_rank(
        &mut self,
        name: &str,
        x: &Tensor,
        w: &str,
        residual: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        let network = self.network;
        let adapter = network.adapter.as_ref();
        let Some(added) = adapter.and_then(|adapter| adapter.of(&self.label(w))) else {
            return Ok(None);
        };
        let [low_name, b_name, sum_name] =
            ["low", "lora_b", "added"].map(|part| format!("{name}.{part}"));
        let low = self.tensor(&low_name, &[x.dim(0), added.a.dim(0)])?;
        self.push(&low_name, Gemm::linear(x, added.a, None, &low)); // [B * T, ranks]
        let b = match added.split {
            None => added.b.clone(),
            Some(split) => {
                let (x, y) = (added.b, self.tensor(&b_name, &[added.b.dim(0), added.a.dim(0)])?);
                self.push(&b_name, BlockDiagonal { x: x.clone(), y: y.clone(), split });
                y
            }
        };
        let sum = self.tensor(&sum_name, &[x.dim(0), b.dim(0)])?;
        let product = Gemm::linear(&low, &b, residual, &sum);
        self.push(&sum_name, Gemm { alpha: added.scale, ..product }); // [B * T, R]
        Ok(Some(sum))
    }

    /// The rows of the last `kept` tokens of each sequence.
    fn slice_last(&mut self, label: &str, x: Tensor, kept: usize) -> Result<Tensor> {
        let period = self.batch.tokens;
        if kept == period {
            return Ok(x);
        }
        let y = self.space.get(label, &[self.batch.size * kept, x.dim(1)])?;
        self.recording.push(label, SliceLast { x, y: y.clone(), period, kept });
        Ok(y)
    }

    /// The first `rotated` columns of x, rotated by the positions of its rows, which are the last
    /// `period` tokens of each sequence. Returns x unchanged where positions are learned.
    fn rope(&mut self, name: &str, x: Tensor, rotated: usize, period: usize) -> Result<Tensor> {
        if self.network.shape.positions != Positions::Rotary {
            return Ok(x);
        }
        let y = self.tensor(name, x.shape())?;
        let rope = Rope {
            x,
            rope: self.space.rotary_table(&self.network.shape)?,
            base: None,
            y: y.clone(),
            rotated,
            first: self.batch.tokens - period,
            period,
            backwards: false,
        };
        self.push(name, rope);
        Ok(y)
    }

    /// softmax(q · keys) · values, where each token sees itself and the tokens before it.
    fn attention(&mut self, q: Tensor, kv: Tensor, queries: usize) -> Result<Tensor> {
        let Shape { n_heads, n_kv_heads, .. } = self.network.shape;
        let Batch { size, tokens, .. } = *self.batch;
        let y = self.tensor("attention", q.shape())?;
        let stats = self.tensor("attention.stats", &[q.dim(0) * n_heads, 4])?;
        let head_dim = self.network.shape.head();
        let heads = Heads { batch: size, tokens, queries, n_heads, n_kv_heads, head_dim };
        self.push("attention", CausalAttention { q, kv, y: y.clone(), stats, heads });
        Ok(y)
    }

    /// f(x), or silu(gate) * up where a row of x holds gate and up.
    fn activate(&mut self, name: &str, x: Tensor) -> Result<Tensor> {
        let y = self.tensor(name, &[x.dim(0), self.network.shape.intermediate_size])?;
        let kind = match self.network.shape.feedforward {
            Feedforward::Relu => Activation::Relu,
            Feedforward::Gelu => Activation::Gelu,
            Feedforward::Swiglu => {
                self.push(name, Swiglu { x, y: y.clone() });
                return Ok(y);
            }
        };
        self.push(name, Activate { x, y: y.clone(), kind });
        Ok(y)
    }

    /// W_out · norm(x), the logits [B * N, V].
    fn logits(&mut self, x: &Tensor) -> Result<Tensor> {
        self.prefix.clear();
        let tied = self.network.shape.tie_word_embeddings;
        let normed = self.norm("output_norm", x)?; // [B * N, C]
        self.linear("output", &normed, if tied { "token_embd" } else { "output" }, None)
    }

    /// Writes the mean over the targets of -log softmax(logits) to `batch.totals`.
    fn loss(&mut self, logits: Tensor) -> Result<()> {
        let Batch { targets, totals, clock, .. } = self.batch;
        let rows = self.tensor("losses", &[logits.dim(0), 4])?;
        let cross_entropy = CrossEntropy {
            logits,
            targets: targets.clone(),
            rows: rows.clone(),
            count: self.network.shape.vocab_size,
        };
        self.push("cross_entropy", cross_entropy); // [B * N, 4]
        let (totals, clock) = (totals.clone(), clock.clone());
        self.push("mean_loss", MeanLoss { rows, totals, clock }); // [4]
        Ok(())
    }
}

/// Records the loss of predicting the targets of `batch`. The last layer computes only the
/// positions that have targets, except for keys and values, which it computes for all positions.
///
/// # Errors
/// When the device cannot hold the activations.
pub fn record(network: &Network, space: &mut Workspace, batch: &Batch) -> Result<Recording> {
    let (prefix, recording) = (String::new(), Recording::default());
    let mut pass = Pass { network, space, batch, prefix, recording };
    let n_layers = network.shape.n_layers;

    let mut x = pass.embed()?; // [B * T, C]
    for index in 0..n_layers {
        let last = index + 1 == n_layers;
        x = pass.layer(index, if last { batch.loss_positions } else { batch.tokens }, x)?;
    }
    let logits = pass.logits(&x)?; // [B * N, V]
    pass.loss(logits)?; // [4]
    Ok(pass.recording)
}
