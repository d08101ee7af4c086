//! The key-value cache of a layer, with all numbers of a head stored together.
//! `shaders/lib/cache.wgsl` computes equal addresses in shaders.

use crate::Result;
use crate::gpu::{Allocator, Constant, Element, Parameter, StorageKind, Tensor};
use half::f16;

/// The capacity of a cache is a multiple of this many positions.
pub const GRANULE: usize = 64;

/// The number type of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum CacheType {
    /// Half precision, 2 bytes a number.
    #[default]
    F16,
    /// Single precision, 4 bytes a number.
    F32,
    /// Signed bytes with a half-precision scale for each 32 numbers of a head: about half the
    /// memory of halves.
    Q8_0,
}

impl CacheType {
    /// Element type of the cache's tensors.
    fn element(self) -> Element {
        match self {
            Self::F16 => Element::F16,
            Self::F32 => Element::F32,
            Self::Q8_0 => Element::Q8,
        }
    }

    /// The name of the type in shaders.
    fn word(self) -> &'static str {
        match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Texels that hold the keys, or the values, of one head of width `head` at one position. With
    /// bytes, the first texel holds the scales, because a texel is stored as a whole.
    pub fn texels(self, head: usize) -> usize {
        match self {
            Self::F16 => head / 8,
            Self::F32 => head / 4,
            Self::Q8_0 => 1 + head.div_ceil(16),
        }
    }
}

/// Selects the keys or the values of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Keys.
    Keys,
    /// Values.
    Values,
}

/// Keys and values of a layer: K key heads, N positions, and for each head and position R texels of
/// C numbers.
#[derive(Clone)]
pub struct LayerCache {
    /// Keys [K, N / 8, R, 8, C], so that lanes with neighbouring positions read neighbouring
    /// texels. In textures they have the layout of the values, because the prefetchers of CPUs need
    /// consecutive reads.
    pub keys: Tensor,
    /// Values [K, N, R, 1, C], so that lanes with neighbouring parts of a head read neighbouring
    /// texels.
    pub values: Tensor,
    /// How numbers are stored.
    pub kind: CacheType,
    /// Width of a head D.
    pub head: usize,
    /// Whether position p is stored at index p mod N, so that the cache holds the latest N
    /// positions.
    pub ring: bool,
}

impl LayerCache {
    /// A cache of zeros with tensors labelled `<name>.keys` and `<name>.values`.
    ///
    /// # Panics
    /// If the number of positions is not a multiple of [`GRANULE`].
    ///
    /// # Errors
    /// When the device cannot bind the tensors.
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

    /// Number of key heads K.
    pub fn key_heads(&self) -> usize {
        self.keys.dim(0)
    }

    /// Number of positions N.
    pub fn positions(&self) -> usize {
        self.values.dim(1)
    }

    /// Bytes of the keys and values of one position.
    pub fn position_bytes(&self) -> u64 {
        2 * 16 * (self.key_heads() * self.kind.texels(self.head)) as u64
    }

    /// Texels from one texel of a key to the next: 8 if eight positions are stored together, else
    /// 1.
    fn key_step(&self) -> usize {
        self.keys.dim(3)
    }

    /// The constants that a shader's text depends on.
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

    /// The parameter that the shader's addresses depend on.
    pub(in crate::kernels) fn parameter(&self) -> Parameter {
        Parameter::U32("positions", self.positions() as u32)
    }

    /// Index of texel `texel` of the keys or values of key head `head` at a position.
    fn texel(&self, side: Side, position: usize, head: usize, texel: usize) -> usize {
        let texels = self.kind.texels(self.head);
        // A cache that is not a ring has a place for each position, so the modulus changes nothing.
        let slot = head * self.positions() + position % self.positions();
        match side {
            Side::Keys if self.key_step() == 8 => (slot / 8 * texels + texel) * 8 + slot % 8,
            _ => slot * texels + texel,
        }
    }

    /// Number `row` (key head * D + d) of a position, decoded from the words of a tensor.
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

    /// Stores the single number `row` (key head * D + d) of a position.
    ///
    /// # Panics
    /// If the cache holds bytes, because the numbers of a head share a scale.
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
        // Unused space in a head's texels is zero.
        (0..self.kind.texels(self.head)).for_each(|at| words[4 * texel(at)..][..4].fill(0));
        for (block, numbers) in numbers.chunks(32).enumerate() {
            // The scale is limited to the largest half, so larger numbers are clipped.
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
