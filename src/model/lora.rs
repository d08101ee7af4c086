//! Low-rank additions to matrix products (Hu et al. 2021, arXiv:2106.09685), computed separately,
//! so that the weights stay as they are.
//!
//! The additions of all adapters to one product are combined into one A and one B: the rows of all
//! As are stacked, and the columns of all Bs are concatenated, in the order of the product's rows.
//! B (A x) is a bias that differs for each token, which the product adds before the rotation or the
//! activation.

use super::architecture::{FeedForward, Pairs};
use super::config::Config;
use super::rows::unpaired;
use super::weights::{Ffn, Layer, Projection, Weights};
use crate::Result;
use crate::format::{DType, Lora, LowRank};
use crate::gpu::Device;
use crate::kernels::{Matrix, OwnedRows};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

/// What adapters add to one product: B (A x).
pub struct Addition {
    /// The stacked As of all adapters [ranks, C].
    pub(super) a: Matrix,
    /// The concatenated Bs of all adapters, multiplied by their scales [R, ranks].
    pub(super) b: Matrix,
}

impl Addition {
    /// Bytes on the device.
    pub(super) fn bytes(&self) -> u64 {
        self.a.bytes() + self.b.bytes()
    }
}

/// Rows of a stored matrix that are part of a product's rows.
struct Piece {
    /// Name of the stored matrix, as GGUF spells it.
    name: String,
    /// Which rows of the stored matrix.
    rows: Range<usize>,
    /// Index in the product of the first of these rows.
    first: usize,
    /// Rows of a head and how many of them are rotated, where the product stores rotated pairs as
    /// neighbours.
    head: Option<(usize, usize)>,
}

/// A product that adapters can add to.
struct Site {
    label: String,
    pieces: Vec<Piece>,
    /// Number of inputs.
    inputs: usize,
    /// Number of inputs with the padding of the activations.
    padded_inputs: usize,
    /// Number of rows with padding.
    rows: usize,
    /// Order of rotated pairs in GGUF files.
    gguf_pairs: Pairs,
}

impl Weights {
    /// Adds `adapters`, each with its scale, to the matrix products. They replace the adapters that
    /// were active before.
    ///
    /// # Errors
    /// When an adapter is for another model, or adds to anything other than the matrices of
    /// attention and of dense feed-forward parts, or the device cannot hold it.
    pub fn adapt(&mut self, device: &Device, adapters: &[(Lora, f32)]) -> Result<()> {
        let mut used = HashSet::new();
        // The rank of the widest addition, so that all layers share their activations.
        let mut layers = vec![];
        for index in 0..self.layers.len() {
            layers.push(sites(
                &self.config,
                index,
                matches!(self.layers[index].ffn, Ffn::Dense(_)),
            ));
        }
        layers.iter().flatten().try_for_each(|site| site.check(adapters))?;
        let ranks = layers.iter().flatten().map(|site| site.rank(adapters)).max().unwrap_or(0);
        for (layer, sites) in self.layers.iter_mut().zip(&layers) {
            for (site, projection) in sites.iter().zip(adaptable(layer)) {
                projection.addition = site.load(device, adapters, ranks, &mut used)?;
            }
        }
        for (lora, _) in adapters {
            if let Some(addition) =
                lora.additions().iter().find(|addition| !used.contains(&addition.name))
            {
                return Err(lora.path_error(format!(
                    "adds to {:?}, which this model does not have or which cannot be added to; \
                     attention and feed-forward parts without experts can",
                    addition.name
                )));
            }
        }
        Ok(())
    }
}

/// The products of a layer that adapters can add to, in the order of [`sites`].
fn adaptable(layer: &mut Layer) -> Vec<&mut Projection> {
    let mut all = vec![&mut layer.attn_qkv, &mut layer.attn_output];
    if let Ffn::Dense(ffn) = &mut layer.ffn {
        all.extend([&mut ffn.gate_up, &mut ffn.down]);
    }
    all
}

/// The products of layer `index` that adapters can add to, in the order of [`adaptable`], with the
/// stored matrices that make up their rows.
fn sites(config: &Config, index: usize, dense: bool) -> Vec<Site> {
    let Config {
        architecture, hidden_size, intermediate_size, head_dim, n_heads, n_kv_heads, ..
    } = *config;
    let (query, key) = (n_heads * head_dim, n_kv_heads * head_dim);
    let rotated = Some((head_dim, config.ropes[config.layer_types[index].rope].width));
    let name = |part: &str| format!("blk.{index}.{part}");
    let piece =
        |part: &str, rows, first, head_dim| Piece { name: name(part), rows, first, head: head_dim };
    let site = |label: &str, pieces, inputs, padded_inputs, rows: usize| {
        let rows = rows.next_multiple_of(4);
        Site {
            label: name(label),
            pieces,
            inputs,
            padded_inputs,
            rows,
            gguf_pairs: architecture.gguf_pairs,
        }
    };

    let qkv = if architecture.fused {
        vec![
            piece("attn_qkv", 0..query, 0, rotated),
            piece("attn_qkv", query..query + key, query, rotated),
            piece("attn_qkv", query + key..query + 2 * key, query + key, None),
        ]
    } else {
        vec![
            piece("attn_q", 0..query, 0, rotated),
            piece("attn_k", 0..key, query, rotated),
            piece("attn_v", 0..key, query + key, None),
        ]
    };
    let mut all = vec![
        site("attn_qkv", qkv, hidden_size, hidden_size, query + 2 * key),
        site(
            "attn_output",
            vec![piece("attn_output", 0..hidden_size, 0, None)],
            query,
            query,
            hidden_size,
        ),
    ];
    if dense {
        let tiles = intermediate_size.next_multiple_of(64);
        let (pieces, rows) = match (architecture.feed_forward, architecture.fused) {
            (FeedForward::Plain, _) => {
                (vec![piece("ffn_up", 0..intermediate_size, 0, None)], intermediate_size)
            }
            (_, true) => (
                vec![
                    piece("ffn_up", 0..intermediate_size, 0, None),
                    piece("ffn_up", intermediate_size..2 * intermediate_size, tiles, None),
                ],
                2 * tiles,
            ),
            (_, false) => (
                vec![
                    piece("ffn_gate", 0..intermediate_size, 0, None),
                    piece("ffn_up", 0..intermediate_size, tiles, None),
                ],
                2 * tiles,
            ),
        };
        all.push(site("ffn_gate_up", pieces, hidden_size, hidden_size, rows));
        all.push(site(
            "ffn_down",
            vec![piece("ffn_down", 0..hidden_size, 0, None)],
            intermediate_size,
            tiles,
            hidden_size,
        ));
    }
    all
}

impl Site {
    /// Names of the stored matrices, each once.
    fn names(&self) -> HashSet<&str> {
        self.pieces.iter().map(|piece| &*piece.name).collect()
    }

    /// What the adapters add to this product, with their scales.
    fn additions<'a>(&self, adapters: &'a [(Lora, f32)]) -> Vec<(&'a Lora, &'a LowRank, f32)> {
        let names = self.names();
        let all = adapters.iter().flat_map(|(lora, scale)| {
            lora.additions().iter().map(move |addition| (lora, addition, scale * addition.scale))
        });
        all.filter(|(_, addition, _)| names.contains(&*addition.name)).collect()
    }

    fn rank(&self, adapters: &[(Lora, f32)]) -> usize {
        self.additions(adapters).iter().map(|(_, addition, _)| addition.rank).sum()
    }

    /// Checks that all additions to this product have matching shapes, before anything is
    /// allocated.
    fn check(&self, adapters: &[(Lora, f32)]) -> Result<()> {
        for (lora, LowRank { name, inputs, outputs, .. }, _) in self.additions(adapters) {
            let pieces = self.pieces.iter().filter(|piece| piece.name == *name);
            let rows: usize = pieces.map(|piece| piece.rows.len()).sum();
            if (*inputs, *outputs) != (self.inputs, rows) {
                return Err(lora.path_error(format!(
                    "adds a matrix of {outputs} x {inputs} to {name:?}, which has {rows} x {}; it is for another model",
                    self.inputs
                )));
            }
        }
        Ok(())
    }

    fn load(
        &self,
        device: &Device,
        adapters: &[(Lora, f32)],
        ranks: usize,
        used: &mut HashSet<String>,
    ) -> Result<Option<Addition>> {
        let additions = self.additions(adapters);
        if additions.is_empty() {
            return Ok(None);
        }
        let ranks = ranks.next_multiple_of(32);
        // As long as the activations, which are not always padded as far as the gain of a norm.
        let columns = if self.padded_inputs.next_multiple_of(32) == self.inputs.next_multiple_of(32)
        {
            self.inputs
        } else {
            self.padded_inputs
        };
        let (mut a, mut b) = (vec![], vec![0.0f32; self.rows * ranks]);
        let mut first_rank = 0;
        for (_, addition, scale) in additions {
            let pieces: Vec<&Piece> =
                self.pieces.iter().filter(|piece| piece.name == addition.name).collect();
            let LowRank { name, rank, .. } = addition;
            let pairs = if addition.gguf_order { self.gguf_pairs } else { Pairs::Halves };
            for row in addition.a.chunks(self.inputs) {
                a.extend_from_slice(row);
                a.resize(a.len() + columns - self.inputs, 0.0);
            }
            for piece in pieces {
                for (at, stored) in piece.rows.clone().enumerate() {
                    let stored = match piece.head {
                        None => stored,
                        Some((head, width)) => {
                            stored - at % head + unpaired(pairs, at % head, width)
                        }
                    };
                    let from = &addition.b[stored * rank..][..*rank];
                    let to = &mut b[(piece.first + at) * ranks + first_rank..][..*rank];
                    to.iter_mut().zip(from).for_each(|(to, from)| *to = scale * from);
                }
            }
            first_rank += rank;
            used.insert(name.clone());
        }
        let matrix = |what: &str, columns: usize, values: Vec<f32>| {
            let bytes = bytemuck::cast_slice(&values).to_vec();
            let rows = OwnedRows::new(DType::F32, columns, bytes);
            Matrix::load(device, &format!("{}_{what}", self.label), Arc::new(rows))
        };
        Ok(Some(Addition { a: matrix("lora_a", columns, a)?, b: matrix("lora_b", ranks, b)? }))
    }
}
