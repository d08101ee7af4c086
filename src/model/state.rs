//! The state of a conversation on the device: keys and values of the tokens so far.

use super::config::Config;
use super::rope::RopeParameters;
use crate::Result;
use crate::gpu::{Allocator, Device, HostMemory, Pool, Tensor, Writer};
use crate::kernels::{CacheType, GRANULE, LayerCache};

/// Default number of prompt tokens that are computed in one step.
pub(super) const CHUNK: usize = 256;
/// Largest number of decode steps in one submission.
pub(super) const MOST_STEPS: usize = 16;

/// The memory that a conversation may use.
#[derive(Debug, Clone, Copy)]
pub struct SessionOptions {
    /// Most tokens of the conversation; `None` for as many as the model was made for.
    pub context: Option<usize>,
    /// Number of tokens that the cache initially has room for; it grows as needed.
    pub expected: usize,
    /// Most prompt tokens that are computed in one step, at least one: fewer take less memory and
    /// more time.
    pub chunk: usize,
    /// How keys and values are stored.
    pub cache: CacheType,
}

impl Default for SessionOptions {
    fn default() -> Self {
        Self { context: None, expected: CHUNK, chunk: CHUNK, cache: CacheType::F16 }
    }
}

impl SessionOptions {
    /// Positions that a layer with this window keeps in a cache of `capacity`, and whether they are
    /// a ring buffer: enough for the window before a step's first token, and for the step.
    pub(super) fn kept(&self, window: Option<usize>, capacity: usize) -> (usize, bool) {
        let step = self.chunk.max(MOST_STEPS);
        let ring =
            window.and_then(|window| window.saturating_add(step).checked_next_multiple_of(GRANULE));
        ring.filter(|&ring| ring < capacity).map_or((capacity, false), |ring| (ring, true))
    }

    /// Bytes of the keys, or of the values, of one position in one layer.
    fn position_bytes(&self, config: &Config) -> u64 {
        (16 * config.n_kv_heads * self.cache.texels(config.head_dim)) as u64
    }

    /// Bytes of a cache of `tokens` positions: keys, values and rotary tables.
    pub fn cache_bytes(&self, config: &Config, tokens: usize) -> u64 {
        self.bytes_apart(config, tokens, 0)
    }

    /// Bytes of a cache of `tokens` positions that cannot be shared with a cache of `other`
    /// positions of the same conversation.
    pub(super) fn bytes_apart(&self, config: &Config, tokens: usize, other: usize) -> u64 {
        let capacities = [tokens, other].map(rounded);
        let kept = config.layer_types.iter().map(|layer| {
            let [kept, of_other] =
                capacities.map(|capacity| self.kept(layer.window, capacity).0 as u64);
            if kept == of_other { 0 } else { kept }
        });
        let position = 2 * self.position_bytes(config);
        let ropes = ((4 * config.head_dim * config.ropes.len()) as u64)
            .saturating_mul(capacities[0] as u64);
        kept.fold(ropes, |sum, kept| sum.saturating_add(kept.saturating_mul(position)))
    }

    /// Bytes of the keys, and of the values, of each layer in a cache of `tokens` positions.
    fn tensor_bytes(&self, config: &Config, tokens: usize) -> impl Iterator<Item = u64> {
        let (position, capacity) = (self.position_bytes(config), rounded(tokens));
        let kept = move |window| self.kept(window, capacity).0 as u64;
        config.layer_types.iter().flat_map(move |layer| [position * kept(layer.window); 2])
    }

    /// The capacity to which a cache of `capacity` positions grows when it needs room for `needed`,
    /// of at most `context`: it doubles as often as necessary, and jumps to the whole context
    /// instead of to more than half of it, so that old and new cache together take at most one and
    /// a half contexts.
    pub(super) fn grown(capacity: usize, needed: usize, context: usize) -> usize {
        let mut grown = capacity.max(1);
        while grown < needed {
            grown = grown.saturating_mul(2);
        }
        if grown > context / 2 { context } else { grown }
    }

    /// The largest cache that is copied into one of the whole `context` while it grows; `None` if
    /// it begins with the whole context.
    pub(super) fn outgrown(&self, context: usize) -> Option<usize> {
        let mut capacity = rounded(self.expected.clamp(1, context));
        if capacity >= context {
            return None;
        }
        while Self::grown(capacity, capacity + 1, context) < context {
            capacity = Self::grown(capacity, capacity + 1, context);
        }
        Some(capacity)
    }
}

/// Capacity of a cache with room for `tokens` tokens, rounded up to whole blocks.
fn rounded(tokens: usize) -> usize {
    tokens.checked_next_multiple_of(GRANULE).unwrap_or(usize::MAX / GRANULE * GRANULE)
}

/// Keys and values of all layers, and rotary tables for the same number of positions.
pub struct Cache {
    /// Number of positions that fit.
    pub capacity: usize,
    /// Keys and values of each layer.
    pub layers: Vec<LayerCache>,
    /// How keys and values are stored.
    pub kind: CacheType,
    /// For each rotary embedding of the model, cos and sin of each pair [capacity, D].
    pub ropes: Vec<Tensor>,
}

impl Cache {
    /// Allocates room for at least `tokens` positions of a conversation of at most `context`.
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn new(
        device: &Device,
        config: &Config,
        tokens: usize,
        context: usize,
        room: &SessionOptions,
    ) -> Result<Self> {
        Self::grown(device, config, tokens, context, room, &[])
    }

    /// Allocates a larger cache that shares the layers of a smaller one whose size does not change.
    ///
    /// # Errors
    /// When the device cannot hold it.
    pub fn grown(
        device: &Device,
        config: &Config,
        tokens: usize,
        context: usize,
        room: &SessionOptions,
        old: &[LayerCache],
    ) -> Result<Self> {
        let capacity = rounded(tokens);
        // Layers that change size must not keep the shared memory of layers that do not.
        let alike =
            config.layer_types.iter().all(|layer| layer.window == config.layer_types[0].window);
        let sizes = room.tensor_bytes(config, capacity);
        let pool = alike.then(|| Pool::new(device, Writer::Kernels, sizes));
        let allocator = pool.as_ref().map_or(device as &dyn Allocator, |pool| pool);
        let mut layers = Vec::with_capacity(config.n_layers);
        for (index, layer) in config.layer_types.iter().enumerate() {
            let (kept, ring) = room.kept(layer.window, capacity);
            if let Some(same) = old.get(index).filter(|old| old.positions() == kept) {
                layers.push(LayerCache { ring, ..same.clone() });
                continue;
            }
            let sizes = [kept, config.n_kv_heads, config.head_dim];
            layers.push(LayerCache::new(
                allocator,
                &format!("blk.{index}"),
                room.cache,
                sizes,
                ring,
            )?);
        }
        let rope = |rope: &RopeParameters| {
            let table = rope.table(capacity, config.head_dim, context);
            Tensor::constant(device, "rope", &[capacity, config.head_dim], &table)
        };
        let ropes = config.ropes.iter().map(rope).collect::<Result<_>>()?;
        Ok(Self { capacity, layers, kind: room.cache, ropes })
    }

    /// Copies the contents of the smaller cache `old`, on the device and for the references.
    pub fn take_over(&self, device: &Device, host: &mut HostMemory, old: &Self) {
        for (old, new) in old.layers.iter().zip(&self.layers) {
            for (from, to) in [(&old.keys, &new.keys), (&old.values, &new.values)] {
                if from.id() == to.id() {
                    continue;
                }
                let (held, heads) = (host.u32(from), old.key_heads());
                let room = host.u32_mut(to);
                let sizes = [held.len(), room.len()].map(|words| words / heads);
                for (from, to) in held.chunks(sizes[0]).zip(room.chunks_mut(sizes[1])) {
                    to[..from.len()].copy_from_slice(from);
                }
                if let Device::Gpu(gpu) = device {
                    from.copy_parts(gpu, to, heads);
                }
            }
        }
    }

    /// Whether all positions that a token at `position` may see are still in the cache, if
    /// positions below `written` have been written.
    pub fn reaches(&self, config: &Config, position: usize, written: usize) -> bool {
        config.layer_types.iter().zip(&self.layers).filter(|(_, layer)| layer.ring).all(
            |(kind, layer)| {
                let first = kind.window.map_or(0, |window| (position + 1).saturating_sub(window));
                first == position || written.saturating_sub(first) <= layer.positions()
            },
        )
    }

    /// Bytes on the device.
    pub fn bytes(&self) -> u64 {
        let layers = self.layers.iter().flat_map(|layer| [&layer.keys, &layer.values]);
        layers.chain(&self.ropes).map(Tensor::bytes).sum()
    }
}
