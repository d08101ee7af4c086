//! What a format is: one value that says all there is to know about it.

use super::planes::PackedRow;

/// Appends a block of these weights to the bytes.
pub type Quantise = fn(weights: &[f32], bytes: &mut Vec<u8>);

/// A format of weights, as a row of the table in [`super`].
///
/// A quantised row is a sequence of blocks; a block holds [`block_len`](Self::block_len)
/// consecutive weights of one row in [`block_bytes`](Self::block_bytes) bytes, scales included.
#[derive(Debug, Clone, Copy)]
pub struct Format {
    /// The name that GGUF tools print, such as `Q4_K`.
    pub name: &'static str,
    /// The number of the type in a GGUF tensor table.
    pub ggml_id: u32,
    /// Weights in a block: 1 for floats, else 32 or 256.
    pub block_len: usize,
    /// Bytes of a block.
    pub block_bytes: usize,
    /// Turns the bytes of one block into its weights.
    pub dequantise: fn(block: &[u8], weights: &mut [f32]),
    /// Appends a block of these weights, each rounded to the nearest value the block can hold.
    pub quantise: Quantise,
    /// Does what `quantise` does with a search for the best steps: for models to ship. `None` where
    /// rounding is all there is to do.
    pub search: Option<Quantise>,
    /// The planes of a matrix on the device.
    pub layout: Layout,
    /// Packs one row, given as the file stores it, into those planes.
    pub pack: fn(row: &[u8], packed: &mut PackedRow<'_>),
    /// What unpacks it on the device.
    pub wgsl: Wgsl,
}

impl AsRef<Format> for Format {
    fn as_ref(&self) -> &Format {
        self
    }
}

impl Format {
    /// Bytes of `elements` weights; `None` if they are not whole blocks or the size does not fit 64
    /// bits.
    pub const fn bytes_for(&self, elements: u64) -> Option<u64> {
        if !elements.is_multiple_of(self.block_len as u64) {
            return None;
        }
        (elements / self.block_len as u64).checked_mul(self.block_bytes as u64)
    }
}

/// A shader file that gives `fetch`, `unpack` and `scales`: see `shaders/lib/matrix.wgsl`.
#[derive(Debug, Clone, Copy)]
pub struct Wgsl {
    /// The name that shaders include it by: that of its file in `shaders/lib`.
    pub name: &'static str,
    /// Its text.
    pub source: &'static str,
}

/// How many texels of each plane the columns of a matrix take. A texel is 16 bytes: a word of each
/// of four neighbouring rows, or two halves of each.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The integer levels of the weights, or the weights themselves.
    pub levels: Share,
    /// Bits of the levels that `levels` has no room for.
    pub high: Share,
    /// Steps and offsets, or what they are made of.
    pub scales: Share,
    /// Steps of the scales.
    pub supers: Share,
}

impl Layout {
    /// No texels in any plane, to begin from.
    pub const NONE: Self =
        Self { levels: Share::NONE, high: Share::NONE, scales: Share::NONE, supers: Share::NONE };
}

/// Texels of a plane for a count of blocks of 32 columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    texels: usize,
    blocks: usize,
}

impl Share {
    /// No texels: the format has no such plane.
    pub const NONE: Self = Self::of(0, 1);

    /// `texels` for `blocks` blocks of 32 columns, and as many where only some of these are there.
    pub const fn of(texels: usize, blocks: usize) -> Self {
        Self { texels, blocks }
    }

    /// Texels of `blocks` blocks of 32 columns of four rows.
    pub fn texels(self, blocks: usize) -> usize {
        self.texels * blocks.div_ceil(self.blocks)
    }
}
