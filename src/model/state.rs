//! What a conversation leaves on the device: keys and values of the tokens so far.

use super::rope::Rope;
use super::weights::Model;
use crate::Result;
use crate::gpu::{Element, Place, Tensor};

/// Keys and values of all layers, and the rotary table of as many positions.
pub struct Cache {
    /// Positions there is room for.
    pub capacity: usize,
    /// A layer each, halves: [capacity / 64, K, 8, D / 8, 8, 8].
    pub keys: Vec<Tensor>,
    /// A layer each, halves: [capacity / 64, K, 64, D].
    pub values: Vec<Tensor>,
    /// For each rotary embedding of the model, cos and sin of each pair [capacity, D].
    pub ropes: Vec<Tensor>,
}

impl Cache {
    /// Room for at least `tokens` positions of a conversation of at most `context`.
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn new(place: &Place, model: &Model, tokens: usize, context: usize) -> Result<Self> {
        let config = &model.config;
        let (heads, head) = (config.key_heads, config.head);
        let capacity = tokens.next_multiple_of(64);
        let tensor = |what: &str, layer: usize, shape: &[usize]| {
            Tensor::zeros(place, &format!("blk.{layer}.{what}"), shape, Element::F16)
        };
        let keys =
            (0..config.layers).map(|layer| tensor("keys", layer, &[capacity / 64, heads, 8, head / 8, 8, 8]));
        let values =
            (0..config.layers).map(|layer| tensor("values", layer, &[capacity / 64, heads, 64, head]));
        let rope = |rope: &Rope| {
            let table = rope.table(capacity, head, context);
            Tensor::constant(place, "rope", &[capacity, head], &table)
        };
        Ok(Self {
            capacity,
            keys: keys.collect::<Result<_>>()?,
            values: values.collect::<Result<_>>()?,
            ropes: config.ropes.iter().map(rope).collect::<Result<_>>()?,
        })
    }

    /// Copies what `old` holds; both layouts begin with the positions, so it is one piece.
    pub fn take_over(&self, place: &Place, old: &Self) {
        let Place::Device(gpu) = place else { return };
        let (from, to) = (old.keys.iter().chain(&old.values), self.keys.iter().chain(&self.values));
        for (from, to) in from.zip(to) {
            from.copy_into(gpu, to);
        }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        let tensors = self.keys.iter().chain(&self.values).chain(&self.ropes);
        tensors.map(Tensor::bytes).sum()
    }
}
