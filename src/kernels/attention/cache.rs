//! What a layer keeps of the tokens so far: keys and values, those of a head together.
//! `shaders/lib/cache.wgsl` has the same addresses for shaders.

use crate::Result;
use crate::gpu::{Allocator, Constant, Element, Parameter, StorageKind, Tensor};
use half::f16;

/// A cache has room for a multiple of so many positions.
pub const GRANULE: usize = 64;

/// How a cache stores its numbers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CacheType {
    /// Half precision
    #[default]
    F16,
    /// Single precision: twice the memory
    F32,
    /// Bytes, and for each 32 numbers of a head a scale: about half the memory
    Q8_0,
}

impl CacheType {
    /// Kind of the tensors' numbers.
    fn element(self) -> Element {
        match self {
            Self::F16 => Element::F16,
            Self::F32 => Element::F32,
            Self::Q8_0 => Element::Q8,
        }
    }

    /// The name in shaders.
    fn word(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Texels that hold the keys, or the values, of one head of width `head` at one position. Of
    /// bytes, the first one holds the scales: a texel is stored as a whole.
    pub fn texels(self, head: usize) -> usize {
        match self {
            Self::F16 => head / 8,
            Self::F32 => head / 4,
            Self::Q8_0 => 1 + head.div_ceil(16),
        }
    }
}

/// Keys or values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Keys.
    Keys,
    /// Values.
    Values,
}

/// Keys and values of a layer: K key heads, N positions, R texels a head and position, of C numbers
/// each.
#[derive(Clone)]
pub struct LayerCache {
    /// [K, N / 8, R, 8, C]: lanes that own neighbouring positions read neighbouring texels. In
    /// textures, which CPUs like, as the values: what is read one after the other lies so, for
    /// their prefetchers.
    pub keys: Tensor,
    /// [K, N, R, 1, C]: lanes that own neighbouring parts of a head do.
    pub values: Tensor,
    /// How numbers are stored.
    pub kind: CacheType,
    /// Width of a head.
    pub head: usize,
    /// Whether position p is kept at place p mod N, so that the latest N positions are there.
    pub ring: bool,
}

impl LayerCache {
    /// Zeros, labelled `<name>.keys` and `<name>.values`.
    ///
    /// # Panics
    /// If the positions are no multiple of [`GRANULE`].
    ///
    /// # Errors
    /// When the device cannot bind them.
    pub fn new(
        allocator: &dyn Allocator,
        name: &str,
        kind: CacheType,
        [positions, key_heads, head]: [usize; 3],
        ring: bool,
    ) -> Result<Self> {
        assert!(positions.is_multiple_of(GRANULE), "{name}: {positions} positions");
        let (texels, element) = (kind.texels(head), kind.element());
        let numbers = element.per_texel();
        let values = [key_heads, positions, texels, 1, numbers];
        let keys = match allocator.gpu() {
            Some(gpu) if gpu.capabilities().storage == StorageKind::Texture => values,
            _ => [key_heads, positions / 8, texels, 8, numbers],
        };
        Ok(Self {
            keys: Tensor::zeros(allocator, &format!("{name}.keys"), &keys, element)?,
            values: Tensor::zeros(allocator, &format!("{name}.values"), &values, element)?,
            kind,
            head,
            ring,
        })
    }

    /// Count of key heads.
    pub fn key_heads(&self) -> usize {
        self.keys.dim(0)
    }

    /// Count of positions.
    pub fn positions(&self) -> usize {
        self.values.dim(1)
    }

    /// Bytes of keys and values of one position.
    pub fn position_bytes(&self) -> u64 {
        2 * 16 * (self.key_heads() * self.kind.texels(self.head)) as u64
    }

    /// Texels from one of a key to the next: of 8 positions together, or of one.
    fn key_step(&self) -> usize {
        self.keys.dim(3)
    }

    /// What a shader's text depends on.
    pub(in crate::kernels) fn constants(&self) -> [(&'static str, Constant); 6] {
        let row = self.kind.texels(self.head);
        [
            ("CACHE", Constant::Word(self.kind.word())),
            ("RING", Constant::Switch(self.ring)),
            ("HEAD8", Constant::Count(self.head as u32 / 8)),
            ("ROW_TEXELS", Constant::Count(row as u32)),
            ("ROWS_OF_POWER", Constant::Switch(row.is_power_of_two())),
            ("KEY_STEP", Constant::Count(self.key_step() as u32)),
        ]
    }

    /// What its addresses depend on.
    pub(in crate::kernels) fn parameter(&self) -> Parameter {
        Parameter::U32("positions", self.positions() as u32)
    }

    /// Index of texel `texel` of what key head `head` has at a position.
    fn texel(&self, side: Side, position: usize, head: usize, texel: usize) -> usize {
        let texels = self.kind.texels(self.head);
        // Where they are no ring, there is a place for each position.
        let slot = head * self.positions() + position % self.positions();
        match side {
            Side::Keys if self.key_step() == 8 => (slot / 8 * texels + texel) * 8 + slot % 8,
            _ => slot * texels + texel,
        }
    }

    /// Number `row` (key head * D + d) of a position, from the words of a tensor.
    pub fn number(&self, side: Side, words: &[u32], position: usize, row: usize) -> f32 {
        let (head, d) = (row / self.head, row % self.head);
        let texel = |texel| self.texel(side, position, head, texel);
        match self.kind {
            CacheType::F16 => half_at(words, texel(d / 8) * 8 + d % 8),
            CacheType::F32 => f32::from_bits(words[texel(d / 4) * 4 + d % 4]),
            CacheType::Q8_0 => {
                let at = texel(1 + d / 16) * 4 + d % 16 / 4;
                let level = (words[at] >> (8 * (d % 4))) as i8;
                half_at(words, texel(0) * 8 + d / 32) * f32::from(level)
            }
        }
    }

    /// Stores number `row` of a position, alone.
    ///
    /// # Panics
    /// In a cache of bytes, where the numbers of a head share a scale.
    pub fn set_number(
        &self,
        side: Side,
        words: &mut [u32],
        position: usize,
        row: usize,
        value: f32,
    ) {
        let (head, d) = (row / self.head, row % self.head);
        match self.kind {
            CacheType::F16 => {
                let at = self.texel(side, position, head, d / 8) * 8 + d % 8;
                set_half(words, at, value);
            }
            CacheType::F32 => {
                words[self.texel(side, position, head, d / 4) * 4 + d % 4] = value.to_bits();
            }
            CacheType::Q8_0 => panic!("a number of a cache of bytes is not stored alone"),
        }
    }

    /// Stores the numbers `[D]` of a key head at a position.
    pub fn set_head(
        &self,
        side: Side,
        words: &mut [u32],
        position: usize,
        head: usize,
        numbers: &[f32],
    ) {
        if self.kind != CacheType::Q8_0 {
            for (d, &value) in numbers.iter().enumerate() {
                self.set_number(side, words, position, head * self.head + d, value);
            }
            return;
        }
        let texel = |texel| self.texel(side, position, head, texel);
        // What a head leaves of its texels is zero.
        (0..self.kind.texels(self.head)).for_each(|at| words[4 * texel(at)..][..4].fill(0));
        for (block, numbers) in numbers.chunks(32).enumerate() {
            // What a scale cannot reach is kept as large as one can.
            let largest =
                numbers.iter().fold(0.0f32, |largest, x| largest.max(x.abs())).min(127.0 * 65504.0);
            set_half(words, texel(0) * 8 + block, largest / 127.0);
            let inverse = if largest == 0.0 { 0.0 } else { 127.0 / largest };
            for (i, value) in numbers.iter().enumerate() {
                let (d, level) = (
                    32 * block + i,
                    (value * inverse).clamp(-127.0, 127.0).round_ties_even() as i8,
                );
                let (at, shift) = (texel(1 + d / 16) * 4 + d % 16 / 4, 8 * (d % 4));
                words[at] |= u32::from(level as u8) << shift;
            }
        }
    }
}

/// Half `index` of packed `words`.
fn half_at(words: &[u32], index: usize) -> f32 {
    f16::from_bits((words[index / 2] >> (16 * (index % 2))) as u16).to_f32()
}

/// Rounds `value` into half `index` of packed `words`.
fn set_half(words: &mut [u32], index: usize, value: f32) {
    let shift = 16 * (index % 2);
    let kept = words[index / 2] & !(0xffff << shift);
    words[index / 2] = kept | u32::from(f16::from_f32(value).to_bits()) << shift;
}
