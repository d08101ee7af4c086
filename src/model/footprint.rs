//! What a model takes on a device, before any of it is allocated.

use super::state::Room;
use super::transformer::Activations;
use super::weights::Model;
use crate::Result;
use crate::format::{Quantization, Source, quantize};
use crate::gpu::{Gpu, Place};

/// Bytes on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Footprint {
    /// Tokens of context reckoned with.
    pub context: usize,
    /// Packed matrices.
    pub weights_bytes: u64,
    /// Keys, values and rotary tables of a full context.
    pub cache_bytes: u64,
    /// Working memory of a prompt's steps and of a decode step, at most.
    pub activation_bytes: u64,
    /// All of it.
    pub total_bytes: u64,
}

impl Footprint {
    /// That of the model in `source` with a full context of `room`. Nothing is read but tables and vectors.
    ///
    /// # Errors
    /// When the model is not supported or damaged.
    pub fn new(source: &Source, quantization: Option<Quantization>, room: &Room) -> Result<Self> {
        // Without a device nothing is allocated; the sizes are the same.
        let model = Model::load(&Place::Host, source, |_| ())?;
        let weights = match quantization {
            None => model.bytes(),
            Some(quantization) => quantised(source, quantization),
        };
        Self::of(&model, weights, room)
    }

    /// That of a model whose matrices take `weights_bytes`.
    ///
    /// # Errors
    /// None: activations without a device are not allocated.
    pub fn of(model: &Model, weights_bytes: u64, room: &Room) -> Result<Self> {
        let config = &model.config;
        let context = room.context.unwrap_or(config.context);
        let cache_bytes = room.cache_bytes(config, context);
        // There are some for each power of two up to a step's tokens: twice the largest, at most.
        let most = room.chunk.min(context).next_power_of_two();
        let largest = Activations::new(&Place::Host, model, most, room.cache)?.bytes();
        let activation_bytes = 2 * largest + 4 * config.vocabulary.next_multiple_of(4) as u64;
        let total_bytes = weights_bytes.saturating_add(cache_bytes).saturating_add(activation_bytes);
        Ok(Self { context, weights_bytes, cache_bytes, activation_bytes, total_bytes })
    }

    /// Refuses what cannot fit on `gpu`, where nothing of it is yet.
    ///
    /// # Errors
    /// When it does not fit, with the figures.
    pub fn check(&self, gpu: &Gpu) -> Result<()> {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let what = format!(
            "weights ({}), cache of {} tokens ({}) and activations ({})",
            mib(self.weights_bytes),
            self.context,
            mib(self.cache_bytes),
            mib(self.activation_bytes)
        );
        gpu.refuse_beyond(0, self.total_bytes, &format!("{what} together"))
    }
}

/// Bytes of all tensors in the types that `quantization` gives them; packed they take as much, but for what fills tiles.
fn quantised(source: &Source, quantization: Quantization) -> u64 {
    let tensors = source.tensors();
    let types = quantize::plan(quantization, tensors);
    let bytes = tensors.iter().zip(types).map(|(tensor, dtype)| {
        tensor.elements().div_ceil(dtype.block_len() as u64) * dtype.block_bytes() as u64
    });
    bytes.sum()
}
