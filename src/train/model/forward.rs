//! The forward pass of training, as a list of kernel calls: whole sequences, all in f32.
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

/// Tensors by name, so that the recordings of several batches share them.
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

/// A forward pass in the making. Each method appends kernel calls to the recording and gives the
/// tensor that they write.
struct Pass<'a> {
    network: &'a Network,
    space: &'a mut Workspace,
    batch: &'a Batch,
    /// What labels and names of weights begin with: "blk.3." within a layer.
    prefix: String,
    recording: Recording,
}

impl Pass<'_> {
    /// The label of a call, or the name of a weight, of this layer.
    fn label(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A tensor of this layer.
    fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        self.space.get(&self.label(name), shape)
    }

    /// Appends a call, its label being `name` with the layer before it.
    fn push(&mut self, name: &str, kernel: impl Kernel + 'static) {
        self.recording.push(self.label(name), kernel);
    }

    /// x = embedding of each token, plus that of its place where places are learned.
    fn embed(&mut self) -> Result<Tensor> {
        let (weights, rows) = (&self.network.weights, self.batch.size * self.batch.tokens);
        let ids = self.batch.ids.clone();
        let table = weights.get("token_embd").clone();
        let places = weights.find("position_embd").cloned();
        let x = self.tensor("x", &[rows, self.network.shape.hidden_size])?;
        self.push("token_embd", Gather { ids, table, places, y: x.clone() });
        Ok(x)
    }

    /// One block: x + attention(norm(x)), and to that ffn(norm) of it. Queries are those of the
    /// last `queries` tokens of each sequence, and so is the result [B * queries, C].
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

    /// norm(x).
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

    /// The first `rotated` columns of x turned by the places of its rows, which are those of the
    /// last `period` tokens of each sequence; x itself where places are learned.
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

    /// softmax(q · keys) · values, each token seeing those before it and itself.
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

    /// f(x), or silu(gate) * up where x has both side by side.
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

    /// W_out · norm(x).
    fn logits(&mut self, x: &Tensor) -> Result<Tensor> {
        self.prefix.clear();
        let tied = self.network.shape.tie_word_embeddings;
        let normed = self.norm("output_norm", x)?; // [B * N, C]
        self.linear("output", &normed, if tied { "token_embd" } else { "output" }, None)
    }

    /// The mean over the targets of -log softmax(logits), to `batch.totals`.
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

/// Records the loss of predicting the targets of `batch`. In the last layer only the places that
/// have targets are computed, but for their keys and values, which all are.
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
