//! Merges low-rank adapters into the matrices of a model that is written as GGUF.

use super::architecture::Pairs;
use super::rows::unpaired;
use super::weights::Weights;
use crate::Result;
use crate::format::{Lora, LowRank, Source};
use crate::gpu::Device;
use std::collections::HashMap;

/// The adapters to merge into one model.
pub struct Merge {
    /// By the name of the matrix: the additions to it, each with its scale.
    additions: HashMap<String, Vec<(LowRank, f32)>>,
    /// Rows of a head and how many of them are rotated, where GGUF stores rotated pairs as
    /// neighbours.
    paired: Option<(usize, usize)>,
}

impl Merge {
    /// Prepares adapters, with their scales, for the model of `source`.
    ///
    /// # Errors
    /// When an adapter is for another model, or adds to a matrix that adapters cannot change.
    pub fn new(source: &Source, adapters: &[(Lora, f32)]) -> Result<Self> {
        // Checks names and shapes as loading for inference does; the reference device copies
        // nothing.
        let mut model = Weights::load(&Device::Reference, source, |_| ())?;
        model.adapt(&Device::Reference, adapters)?;
        let mut additions: HashMap<String, Vec<(LowRank, f32)>> = HashMap::new();
        for (lora, scale) in adapters {
            for addition in lora.additions() {
                let scaled = (addition.clone(), scale * addition.scale);
                additions.entry(format!("{}.weight", addition.name)).or_default().push(scaled);
            }
        }
        let config = &model.config;
        let is_paired = config.architecture.gguf_pairs == Pairs::Neighbours;
        Ok(Self { additions, paired: is_paired.then(|| (config.head_dim, config.ropes[0].width)) })
    }

    /// Whether the adapters change the tensor with this name.
    pub fn changes(&self, tensor: &str) -> bool {
        self.additions.contains_key(tensor)
    }

    /// Adds the adapters to the numbers of a tensor, which are in GGUF's order.
    pub fn add(&self, tensor: &str, values: &mut [f32]) {
        let is_paired = tensor.ends_with(".attn_q.weight") || tensor.ends_with(".attn_k.weight");
        let paired = self.paired.filter(|_| is_paired);
        for (LowRank { rank, inputs, a, b, .. }, scale) in
            self.additions.get(tensor).into_iter().flatten()
        {
            for (at, row) in values.chunks_exact_mut(*inputs).enumerate() {
                let theirs = match paired {
                    None => at,
                    Some((head, width)) => {
                        at - at % head + unpaired(Pairs::Halves, at % head, width)
                    }
                };
                let factors = &b[theirs * rank..][..*rank];
                for (factor, a) in factors.iter().zip(a.chunks_exact(*inputs)) {
                    row.iter_mut().zip(a).for_each(|(value, a)| *value += scale * factor * a);
                }
            }
        }
    }
}
