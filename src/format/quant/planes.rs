//! Packs rows in the layout of files into texels in the layout of shaders.
//!
//! `shaders/lib/matrix.wgsl` defines the contents of a texel: the same columns of four rows, so
//! that packing is mostly a transposition. Every format fills up to four planes, one after the
//! other in one tensor; their sizes are in its [`Layout`](super::Layout).

use super::format::{Format, Layout};
use std::ops::Range;

/// One of the planes of a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// The integer levels of the weights, or the weights themselves.
    Levels,
    /// Additional bits of the levels.
    High,
    /// Steps and offsets, or their quantised form.
    Scales,
    /// Steps of the quantised scales.
    Supers,
}

/// The planes of a matrix with `rows4 * 4` rows and `blocks * 32` columns. A plane has the layout
/// `[slot / 8][step][8]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// Number of groups of four rows.
    pub rows4: usize,
    /// Number of blocks of 32 columns.
    pub blocks: usize,
    /// Steps along the columns in the planes of levels, high bits, scales, and superblock steps.
    steps: [usize; 4],
    /// Index of the first texel of the high bits.
    pub high: usize,
    /// Index of the first texel of the scales.
    pub scales: usize,
    /// Index of the first texel of the superblock steps.
    pub supers: usize,
    /// Total texels.
    pub texels: usize,
}

impl Planes {
    /// The planes of a matrix in this format.
    pub fn new(format: &Format, rows: usize, columns: usize) -> Self {
        let (rows4, blocks) = (rows.div_ceil(4), columns.div_ceil(32));
        let lanes = rows4.next_multiple_of(16);
        let Layout { levels, high, scales, supers } = format.layout;
        let steps = [levels, high, scales, supers].map(|share| share.texels(blocks));
        let [levels, high, scales, supers] = steps;
        Self {
            rows4,
            blocks,
            steps,
            high: levels * lanes,
            scales: (levels + high) * lanes,
            supers: (levels + high + scales) * lanes,
            texels: (levels + high + scales + supers) * lanes,
        }
    }

    /// For a piece of the `whole` matrix that starts at tile `tile`: for each plane, the first
    /// texel in the whole, and the range of texels in the piece.
    pub fn placed(
        &self,
        whole: &Planes,
        tile: usize,
    ) -> impl Iterator<Item = (usize, Range<usize>)> {
        let (here, there) = (self.bounds(), whole.bounds());
        let offset = whole.steps.map(|steps| tile * 16 * steps);
        (0..4).map(move |plane| (there[plane] + offset[plane], here[plane]..here[plane + 1]))
    }

    fn bounds(&self) -> [usize; 5] {
        [0, self.high, self.scales, self.supers, self.texels]
    }
}

/// Packs row `row` of the matrix, given as stored in the file, into `words` (4 u32 in a texel),
/// which must start zeroed.
pub fn pack_row(format: &Format, planes: &Planes, row: usize, bytes: &[u8], words: &mut [u32]) {
    (format.pack)(bytes, &mut PackedRow::new(planes, row, words));
}

/// A row of a packed matrix that is being written. A plane has a step for each texel along the
/// columns.
#[derive(Debug)]
pub struct PackedRow<'a> {
    /// First texel of this row's group in each plane; consecutive steps are 8 texels apart.
    firsts: [usize; 4],
    /// The row's index in its group of four.
    part: usize,
    words: &'a mut [u32],
}

impl<'a> PackedRow<'a> {
    fn new(planes: &Planes, row: usize, words: &'a mut [u32]) -> Self {
        let (r4, part) = (row / 4, row % 4);
        let slot = r4 / 16 * 16 + r4 % 2 * 8 + r4 % 16 / 2;
        let [levels, high, scales, supers, _] = planes.bounds();
        let mut firsts = [levels, high, scales, supers];
        for (first, steps) in firsts.iter_mut().zip(planes.steps) {
            *first += slot / 8 * steps * 8 + slot % 8;
        }
        Self { firsts, part, words }
    }

    /// Sets bits in this row's word of the texel at `step`.
    pub fn put(&mut self, plane: Plane, step: usize, bits: u32) {
        self.put_word(plane, step, self.part, bits);
    }

    /// Writes half number `index` of this row in a texel with two halves for each of four rows.
    /// Words 0 and 1 hold an even half of rows 0, 1 and 2, 3; words 2 and 3 hold the odd half after
    /// it.
    pub fn put_half(&mut self, plane: Plane, index: usize, half: u16) {
        let word = 2 * (index % 2) + self.part / 2;
        self.put_word(plane, index / 2, word, u32::from(half) << (16 * (self.part % 2)));
    }

    /// Writes the 4-bit levels of a block of 32 columns, with levels i and 16 + i in one byte, as
    /// in Q4_0.
    pub fn put_nibbles(&mut self, block: usize, level: impl Fn(usize) -> u8) {
        for word in 0..4 {
            let byte = |i: usize| level(4 * word + i) | level(16 + 4 * word + i) << 4;
            let bits = u32::from_le_bytes([0, 1, 2, 3].map(byte));
            self.put(Plane::Levels, block * 4 + word, bits);
        }
    }

    /// Writes two bits of each weight in a block of 32 columns, in two halves: weight 4j + c of a
    /// half has bits 8c + 2j.
    pub fn put_pairs(&mut self, plane: Plane, block: usize, pair: impl Fn(usize) -> u8) {
        for side in 0..2 {
            let at = |i: usize| u32::from(pair(16 * side + i)) << (8 * (i % 4) + 2 * (i / 4));
            self.put(plane, 2 * block + side, (0..16).map(at).sum());
        }
    }

    /// Writes one bit of each weight in a block of 32 columns into the high bits. `bits` has the
    /// order of the weights; weight 4j + c is stored at bit 8c + j, and weight 16 + 4j + c at bit
    /// 8c + 4 + j.
    pub fn put_high_bits(&mut self, block: usize, bits: u32) {
        let spread = (0..32).fold(0, |spread, i| {
            let to = 8 * (i % 4) + i % 16 / 4 + 4 * (i / 16);
            spread | (bits >> i & 1) << to
        });
        self.put(Plane::High, block, spread);
    }

    fn put_word(&mut self, plane: Plane, step: usize, word: usize, bits: u32) {
        self.words[(self.firsts[plane as usize] + step * 8) * 4 + word] |= bits;
    }
}

/// The little-endian 16-bit number at byte `at`.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The little-endian 32-bit number at byte `at`.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
