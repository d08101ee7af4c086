//! The memory that a model takes on a device, known before any of it is allocated.

use super::forward::Activations;
use super::state::SessionOptions;
use super::weights::{Extent, Weights};
use crate::Result;
use crate::format::{Lora, Quantization, Source, quantize};
use crate::gpu::{Device, Gpu};

/// The memory of a model and a conversation on a device, in bytes by purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Footprint {
    /// Tokens of context that the figures are for.
    pub context: usize,
    /// Packed matrices, including those of adapters.
    pub weights_bytes: u64,
    /// Keys, values and rotary tables of a full context.
    pub cache_bytes: u64,
    /// The smaller cache that exists at the same time while it is copied into the full one.
    pub outgrown_bytes: u64,
    /// Upper bound on the working memory of a prompt's steps and of a decode step.
    pub activation_bytes: u64,
    /// Further buffers that the caller asked for: logits for scoring, hidden states.
    pub beside_bytes: u64,
    /// The sum of all parts.
    pub total_bytes: u64,
}

impl Footprint {
    /// The footprint of the model in `source` with `adapters` and a full context of `room`,
    /// including the cache that grows from what `room` expects. Only tables and vectors of the
    /// model are read.
    ///
    /// # Errors
    /// When the model is not supported or damaged, or an adapter is for another one.
    pub fn new(
        source: &Source,
        quantization: Option<Quantization>,
        adapters: &[(Lora, f32)],
        room: &SessionOptions,
    ) -> Result<Self> {
        Self::of_extent(source, Extent::Whole, quantization, adapters, room)
    }

    /// The footprint of the model in `source` with only the parts that `extent` names.
    ///
    /// # Errors
    /// When the model is not supported or damaged, or an adapter is for another one.
    pub fn of_extent(
        source: &Source,
        extent: Extent,
        quantization: Option<Quantization>,
        adapters: &[(Lora, f32)],
        room: &SessionOptions,
    ) -> Result<Self> {
        // The reference device allocates nothing here; the sizes are the same.
        let (mut model, _) = Weights::reserve(&Device::Reference, source, extent, None, |_| ())?;
        let matrices = model.bytes();
        model.adapt(&Device::Reference, adapters)?;
        let weights = match quantization {
            None => model.bytes(),
            Some(quantization) => {
                quantised(source, extent, quantization) + (model.bytes() - matrices)
            }
        };
        Self::of(&model, weights, room)
    }

    /// The footprint of a model whose matrices take `weights_bytes`.
    ///
    /// # Errors
    /// None: activations are not allocated on the reference device.
    pub fn of(model: &Weights, weights_bytes: u64, room: &SessionOptions) -> Result<Self> {
        let config = &model.config;
        let context = room.context.unwrap_or(config.max_context);
        let cache_bytes = room.cache_bytes(config, context);
        let outgrown = room.outgrown(context);
        // There is one set for each power of two up to a step's tokens: together less than twice
        // the largest.
        let most = room.chunk.min(context).next_power_of_two();
        let largest = Activations::new(&Device::Reference, model, most, room.cache)?.bytes();
        let all = Self {
            context,
            weights_bytes,
            cache_bytes,
            outgrown_bytes: outgrown
                .map_or(0, |capacity| room.bytes_apart(config, capacity, context)),
            activation_bytes: 2 * largest + 4 * config.vocab_size.next_multiple_of(4) as u64,
            beside_bytes: 0,
            total_bytes: 0,
        };
        Ok(all.summed())
    }

    fn summed(self) -> Self {
        let parts =
            [self.cache_bytes, self.outgrown_bytes, self.activation_bytes, self.beside_bytes]
                .into_iter();
        Self { total_bytes: parts.fold(self.weights_bytes, u64::saturating_add), ..self }
    }

    /// Adds `bytes` that are needed in addition to the conversation.
    pub fn with_beside(self, bytes: u64) -> Self {
        Self { beside_bytes: self.beside_bytes.saturating_add(bytes), ..self }.summed()
    }

    /// The footprint if the cache has its full size from the beginning and never grows.
    pub fn at_once(self) -> Self {
        Self { outgrown_bytes: 0, ..self }.summed()
    }

    /// The footprint of two models on one device at the same time.
    pub fn and(self, other: Self) -> Self {
        let sum = |part: fn(&Self) -> u64| part(&self).saturating_add(part(&other));
        let both = Self {
            context: self.context.max(other.context),
            weights_bytes: sum(|one| one.weights_bytes),
            cache_bytes: sum(|one| one.cache_bytes),
            outgrown_bytes: sum(|one| one.outgrown_bytes),
            activation_bytes: sum(|one| one.activation_bytes),
            beside_bytes: sum(|one| one.beside_bytes),
            total_bytes: 0,
        };
        both.summed()
    }

    /// Refuses a model that cannot fit on `gpu`, which must not hold any of it yet.
    ///
    /// # Errors
    /// When it does not fit, with the figures.
    pub fn check(&self, gpu: &Gpu) -> Result<()> {
        let mib = |bytes: u64| format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20));
        let mut parts = vec![
            format!("weights ({})", mib(self.weights_bytes)),
            format!("cache of {} tokens ({})", self.context, mib(self.cache_bytes)),
        ];
        if self.outgrown_bytes > 0 {
            parts.push(format!("the cache that grows to it ({})", mib(self.outgrown_bytes)));
        }
        if self.beside_bytes > 0 {
            parts.push(format!("results ({})", mib(self.beside_bytes)));
        }
        let what = format!("{} and activations ({})", parts.join(", "), mib(self.activation_bytes));
        gpu.refuse_beyond(0, self.total_bytes, &format!("{what} together"))
    }
}

/// Bytes of all tensors in the types that `quantization` gives them. Packed weights take as much,
/// except for the rows that pad tiles.
fn quantised(source: &Source, extent: Extent, quantization: Quantization) -> u64 {
    let tensors = source.tensors();
    let types = quantize::plan(quantization, tensors);
    let is_wanted = |name: &str| extent == Extent::Whole || name != "output.weight";
    let wanted = tensors.iter().zip(types).filter(|(tensor, _)| is_wanted(&tensor.name));
    let bytes = wanted.map(|(tensor, dtype)| {
        tensor.elements().div_ceil(dtype.block_len() as u64) * dtype.block_bytes() as u64
    });
    bytes.sum()
}
