//! The forward pass of a transformer: a Llama-like one (Touvron et al. 2023, arXiv:2302.13971),
//! with the variations of other families where they occur.
//!
//! Shapes: T tokens of the step, V vocabulary, C width of the stream, H heads of queries and K of
//! keys, each D wide, F width of the feed-forward part.

use super::activations::Activations;
use crate::gpu::{Kernel, Recording, Tensor};
use crate::kernels::{
    AddPositions, Argmax, Attention, CacheType, Embed, Function, Gate, GateUp, Input, Linear,
    Matmul, MergePieces, QkNormRope, QkvRopeCache,
};
use crate::model::architecture::FeedForward;
use crate::model::state::Cache;
use crate::model::weights::{Dense, Ffn, Layer, Weights};
use std::ops::Range;

/// Cache positions from which on attention in pieces gains more than combining them costs.
const LONG: usize = 512;

/// Builds the recording of one step. Each method appends kernel calls.
pub(in crate::model) struct Pass<'a> {
    pub(super) model: &'a Weights,
    pub(super) act: &'a Activations,
    cache: &'a Cache,
    /// The first element is the position of the step's first token.
    position: &'a Tensor,
    /// Number of tokens T in the step.
    pub(super) tokens: usize,
    /// Prefix of labels: "blk.3." within a layer, empty outside.
    prefix: String,
    pub(super) recording: Recording,
}

impl<'a> Pass<'a> {
    /// Begins a step of `tokens` tokens, whose ids are in `act.ids`; the first is at `position[0]`.
    pub fn new(
        model: &'a Weights,
        cache: &'a Cache,
        act: &'a Activations,
        position: &'a Tensor,
        tokens: usize,
    ) -> Self {
        let (prefix, recording) = (String::new(), Recording::default());
        Self { model, act, cache, position, tokens, prefix, recording }
    }

    /// The recording of all calls so far.
    pub fn finish(self) -> Recording {
        self.recording
    }

    /// Appends a call whose label is `name` after the layer's prefix.
    pub fn push(&mut self, name: &str, kernel: impl Kernel + 'static) {
        self.recording.push(format!("{}{name}", self.prefix), kernel);
    }

    /// The stream x after all layers [T, C]; their keys and values go to the cache.
    pub fn layers(&mut self) {
        self.embed(); // [T, C]
        for (index, layer) in self.model.layers.iter().enumerate() {
            self.prefix = format!("blk.{index}.");
            self.layer(index, layer); // [T, C]
        }
        self.prefix.clear();
    }

    /// x = embedding of each token, plus the embedding of its position where positions are learned.
    fn embed(&mut self) {
        let (act, tokens) = (self.act, self.tokens);
        let learned = self.model.position_embd.as_ref();
        let embedded = if learned.is_some() { &act.middle } else { &act.x };
        for w in self.model.token_embd.parts() {
            let embed = Embed {
                ids: act.ids.clone(),
                w: w.clone(),
                y: embedded.clone(),
                tokens,
                scale: self.model.config.embedding_scale,
            };
            self.push("token_embd", embed);
        }
        if let Some(w) = learned {
            let add = AddPositions {
                step: self.position.clone(),
                x: embedded.clone(),
                w: w.clone(),
                y: act.x.clone(),
                tokens,
            };
            self.push("position_embd", add);
        }
    }

    /// One block: x += attention(norm(x)), then x += ffn(norm(x)). Between the two, x is in
    /// `middle`.
    fn layer(&mut self, index: usize, layer: &'a Layer) {
        let Activations { x, middle, .. } = self.act;
        let first = self.recording.entries().len();

        let normed = self.norm("attn_norm", x, &layer.attn_norm); // [T, C]
        let q = self.query_key_value(index, layer, normed); // [T, H * D]
        let attended = self.attention(index, q); // [T, H * D]
        let post_norm = layer.post_attention_norm.as_ref();
        self.add_to(x, "attn_output", attended, &layer.attn_output, post_norm, middle); // [T, C]

        let normed = self.norm("ffn_norm", middle, &layer.ffn_norm); // [T, C]
        match &layer.ffn {
            Ffn::Dense(ffn) => {
                let hidden = self.gate_up(ffn, normed); // [T, F]
                let post_norm = layer.post_ffw_norm.as_ref();
                self.add_to(middle, "ffn_down", hidden, &ffn.down, post_norm, x); // [T, C]
            }
            Ffn::Mixture(ffn) => self.mixture(normed, ffn), // [T, C]
        }
        self.recording.block_from(first);
    }

    /// q = rotated queries. Rotated keys and values are written to the cache.
    fn query_key_value(&mut self, index: usize, layer: &Layer, input: Input) -> &'a Tensor {
        let (q, projected) = (&self.act.q, &self.act.projected);
        let step = self.position;
        let rope = &self.cache.ropes[self.model.config.layer_types[index].rope];
        let cache = &self.cache.layers[index];
        let w = &layer.attn_qkv;
        if layer.head_norms.is_none() && cache.kind != CacheType::Q8_0 {
            self.project("attn_qkv", input, w, |input, w, first_row| QkvRopeCache {
                input,
                w,
                first_row,
                step: step.clone(),
                rope: rope.clone(),
                q: q.clone(),
                cache: cache.clone(),
            });
            return q;
        }
        // Heads that are normalised, or stored as bytes, have to be complete before they are
        // rotated.
        self.linear_with(Function::Identity, "attn_qkv", input, w, projected); // [T, (H + 2 K) D]
        let rotate = QkNormRope {
            x: projected.clone(),
            gains: layer.head_norms.clone(),
            eps: self.model.config.norm_eps,
            step: step.clone(),
            rope: rope.clone(),
            q: q.clone(),
            cache: cache.clone(),
            tokens: self.tokens,
        };
        self.push("qk_norm_rope", rotate);
        q
    }

    /// softmax(q · keys) · values over the positions that each token sees. A single token may read
    /// a long cache in pieces, whose results are combined afterwards.
    fn attention(&mut self, index: usize, q: &Tensor) -> &'a Tensor {
        let (config, y) = (&self.model.config, &self.act.attended);
        let pieces = self.act.pieces.as_ref().filter(|_| self.cache.capacity > LONG);
        let attention = Attention {
            step: self.position.clone(),
            q: q.clone(),
            cache: self.cache.layers[index].clone(),
            y: pieces.map_or(y, |pieces| &pieces.sums).clone(),
            pieces: pieces.map(|pieces| pieces.pieces.clone()),
            tokens: self.tokens,
            scale: config.attention_scale_of(index),
            window: config.layer_types[index].window,
            cap: config.attention_cap,
        };
        self.push("attention", attention);
        if let Some(pieces) = pieces {
            let (x, pieces) = (pieces.sums.clone(), pieces.pieces.clone());
            self.push("merge_pieces", MergePieces { x, pieces, y: y.clone() });
        }
        y
    }

    /// hidden = gate(W_gate · input) * (W_up · input), or f(W_up · input) where there is no gate.
    fn gate_up(&mut self, ffn: &Dense, input: Input) -> &'a Tensor {
        let (config, y) = (&self.model.config, &self.act.hidden);
        let gate = match config.architecture.feed_forward {
            FeedForward::SwiGlu => Gate::Silu,
            FeedForward::GeGlu => Gate::Gelu,
            FeedForward::Plain => {
                self.linear_with(config.activation, "ffn_up", input, &ffn.gate_up, y);
                return y;
            }
        };
        self.project("ffn_gate_up", input, &ffn.gate_up, |input, w, _| GateUp {
            input,
            w,
            y: y.clone(),
            gate,
        });
        y
    }

    /// logits = W_out · norm(x), for the step's tokens in `rows` [rows, V].
    pub fn logits(&mut self, rows: Range<usize>, logits: &Tensor) {
        let Weights { config, output_norm, .. } = self.model;
        let normed = self.norm_rows("output_norm", &self.act.x, output_norm, rows); // [rows, C]
        for part in self.model.output_matrix().parts() {
            let (input, w, y) = (normed.clone(), part.clone(), logits.clone());
            match config.logits_cap {
                None => self.push("output", Matmul { input, w, residual: None, y }),
                Some(cap) => {
                    let (first_row, function) = (w.first, Function::Cap(cap));
                    self.push("output", Linear { input, w, first_row, function, y });
                }
            }
        }
    }

    /// Writes the index of the largest of the logits [1, V] to `chosen[0]` and advances the
    /// position by the step's tokens, so that a step of one token can follow without the host.
    pub fn argmax(&mut self, logits: &Tensor, chosen: &Tensor) {
        let argmax = Argmax {
            logits: logits.clone(),
            count: self.model.config.vocab_size,
            ids: chosen.clone(),
            step: self.position.clone(),
            advance: self.tokens,
        };
        self.push("argmax", argmax);
    }

    /// Hidden states of all tokens after the final norm [T, C].
    pub fn hidden_states(&mut self, y: &Tensor) {
        let Weights { output_norm, .. } = self.model;
        self.norm_to("output_norm", &self.act.x, output_norm, None, 0..self.tokens, y);
    }
}
