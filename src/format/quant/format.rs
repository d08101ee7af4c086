//! The description of a weight format: one value with everything that other code needs.

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
    /// Bytes in a block.
    pub block_bytes: usize,
    /// Decodes the bytes of one block into its weights.
    pub dequantise: fn(block: &[u8], weights: &mut [f32]),
    /// Appends a block of these weights, each rounded to the nearest value that the block can hold.
    pub quantise: Quantise,
    /// Encodes a block like `quantise`, with a search for the best steps, for models to distribute.
    /// `None` if rounding already gives the best result.
    pub search: Option<Quantise>,
    /// The sizes of a matrix's planes on the device.
    pub layout: Layout,
    /// Packs one row, given as stored in the file, into the planes.
    pub pack: fn(row: &[u8], packed: &mut PackedRow<'_>),
    /// The shader file that unpacks weights on the device.
    pub wgsl: Wgsl,
}

impl AsRef<Format> for Format {
    fn as_ref(&self) -> &Format {
        self
    }
}

impl Format {
    /// Bytes of `elements` weights; `None` if they are not whole blocks or the size does not fit in
    /// 64 bits.
    pub const fn bytes_for(&self, elements: u64) -> Option<u64> {
        if !elements.is_multiple_of(self.block_len as u64) {
            return None;
        }
        (elements / self.block_len as u64).checked_mul(self.block_bytes as u64)
    }
}

/// A shader file with the functions `fetch`, `unpack` and `scales`: see `shaders/lib/matrix.wgsl`.
#[derive(Debug, Clone, Copy)]
pub struct Wgsl {
    /// The name under which shaders include it, which is that of its file in `shaders/lib`.
    pub name: &'static str,
    /// The text of the file.
    pub source: &'static str,
}

/// Texels in each plane for the columns of a matrix. A texel is 16 bytes: one word, or two halves,
/// for each of four neighbouring rows.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The integer levels of the weights, or the weights themselves.
    pub levels: Share,
    /// Additional bits of the levels.
    pub high: Share,
    /// Steps and offsets, or their quantised form.
    pub scales: Share,
    /// Steps of the quantised scales.
    pub supers: Share,
}

impl Layout {
    /// No texels in any plane, as a base for other layouts.
    pub const NONE: Self =
        Self { levels: Share::NONE, high: Share::NONE, scales: Share::NONE, supers: Share::NONE };
}

/// Texels in a plane for a number of blocks of 32 columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    texels: usize,
    blocks: usize,
}

impl Share {
    /// No texels, for a plane that the format does not have.
    pub const NONE: Self = Self::of(0, 1);

    /// `texels` for every `blocks` blocks of 32 columns; an incomplete group takes as many.
    pub const fn of(texels: usize, blocks: usize) -> Self {
        Self { texels, blocks }
    }

    /// Texels for `blocks` blocks of 32 columns in four rows.
    pub fn texels(self, blocks: usize) -> usize {
        self.texels * blocks.div_ceil(self.blocks)
    }
}
