//! Steps that were recorded and compiled before, and the activations that they share.

use crate::Result;
use crate::gpu::Device;
use crate::kernels::CacheType;
use crate::model::forward::Activations;
use crate::model::weights::Weights;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::Arc;

/// Compiled steps over the cache of one sequence, by what sets them apart.
pub(in crate::model) struct StepCache<K, Step> {
    steps: HashMap<K, Step>,
    /// Capacity of the cache that the steps read and write: one that has grown has other tensors.
    capacity: usize,
}

impl<K: Eq + Hash, Step> StepCache<K, Step> {
    /// Without steps.
    pub fn new() -> Self {
        Self { steps: HashMap::new(), capacity: 0 }
    }

    /// The step of `key` over a cache of `capacity` positions, compiled by `compile` if it is not
    /// known.
    ///
    /// # Errors
    /// Those of `compile`.
    pub fn get(
        &mut self,
        capacity: usize,
        key: K,
        compile: impl FnOnce() -> Result<Step>,
    ) -> Result<&mut Step> {
        if self.capacity != capacity {
            self.steps.clear();
            self.capacity = capacity;
        }
        match self.steps.entry(key) {
            Entry::Occupied(known) => Ok(known.into_mut()),
            Entry::Vacant(room) => Ok(room.insert(compile()?)),
        }
    }
}

/// Activations by the most tokens that they serve, a power of two.
pub(in crate::model) struct ActivationPool {
    cache: CacheType,
    known: HashMap<usize, Arc<Activations>>,
}

impl ActivationPool {
    /// Without activations; a cache of type `cache` is what steps will write.
    pub fn new(cache: CacheType) -> Self {
        Self { cache, known: HashMap::new() }
    }

    /// Those for a step of `tokens` tokens.
    ///
    /// # Errors
    /// When the device cannot hold them.
    pub fn get(
        &mut self,
        device: &Device,
        model: &Weights,
        tokens: usize,
    ) -> Result<Arc<Activations>> {
        let most = tokens.next_power_of_two();
        match self.known.entry(most) {
            Entry::Occupied(known) => Ok(Arc::clone(known.get())),
            Entry::Vacant(room) => {
                let made = Arc::new(Activations::new(device, model, most, self.cache)?);
                Ok(Arc::clone(room.insert(made)))
            }
        }
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        self.known.values().map(|activations| activations.bytes()).sum()
    }
}
