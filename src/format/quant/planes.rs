//! From rows as files store them to the texels that shaders read.
//!
//! `shaders/lib/matrix.wgsl` says what a texel holds: the same columns of four rows, so that
//! packing is mostly a transposition. Every format fills up to four planes, one after the other in
//! one tensor; its [`Layout`](super::Layout) says how large they are.

use super::format::{Format, Layout};
use std::ops::Range;

/// A plane of a packed matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plane {
    /// The integer levels of the weights, or the weights themselves.
    Levels,
    /// Bits of the levels that do not fit there.
    High,
    /// Steps and offsets, or what they are made of.
    Scales,
    /// Steps of the scales.
    Supers,
}

/// Planes of a matrix of `rows4 * 4` rows and `blocks * 32` columns. A plane is `[slot /
/// 8][step][8]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Planes {
    /// Row groups of four.
    pub rows4: usize,
    /// Blocks of 32 columns.
    pub blocks: usize,
    /// Steps along the columns of the levels, high bits, scales, and superblock steps.
    steps: [usize; 4],
    /// First texel of the high bits.
    pub high: usize,
    /// First texel of the scales.
    pub scales: usize,
    /// First texel of the superblock steps.
    pub supers: usize,
    /// All texels.
    pub texels: usize,
}

impl Planes {
    /// The planes of a matrix in `format`.
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

    /// Where the planes of this piece go in those of the `whole` matrix, of which it is the rows
    /// from tile `tile` on: the first texel there, and the texels here.
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

/// Packs row `row` of the matrix, given as the file stores it, into `words` (4 u32 a texel), which
/// starts zeroed.
pub fn pack_row(format: &Format, planes: &Planes, row: usize, bytes: &[u8], words: &mut [u32]) {
    (format.pack)(bytes, &mut PackedRow::new(planes, row, words));
}

/// One row of a packed matrix, to be written. A plane has a step for each texel along the columns.
#[derive(Debug)]
pub struct PackedRow<'a> {
    /// First texel of each plane for this row's group; a step further is 8 texels on.
    firsts: [usize; 4],
    /// The row's place in its group of four.
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

    /// Sets bits of this row's word in the texel at `step`.
    pub fn put(&mut self, plane: Plane, step: usize, bits: u32) {
        self.put_word(plane, step, self.part, bits);
    }

    /// Writes half number `index` of this row where a texel has two for each of four rows: words 0
    /// and 1 hold rows 0, 1 and 2, 3 of an even one, words 2 and 3 those of the odd one after it.
    pub fn put_half(&mut self, plane: Plane, index: usize, half: u16) {
        let word = 2 * (index % 2) + self.part / 2;
        self.put_word(plane, index / 2, word, u32::from(half) << (16 * (self.part % 2)));
    }

    /// Writes the 4-bit levels of a block of 32 columns, levels i and 16 + i in one byte, as in
    /// Q4_0.
    pub fn put_nibbles(&mut self, block: usize, level: impl Fn(usize) -> u8) {
        for word in 0..4 {
            let byte = |i: usize| level(4 * word + i) | level(16 + 4 * word + i) << 4;
            let bits = u32::from_le_bytes([0, 1, 2, 3].map(byte));
            self.put(Plane::Levels, block * 4 + word, bits);
        }
    }

    /// Writes two bits of each weight of a block of 32 columns, half by half: those of weight 4j +
    /// c of a half at bits 8c + 2j.
    pub fn put_pairs(&mut self, plane: Plane, block: usize, pair: impl Fn(usize) -> u8) {
        for side in 0..2 {
            let at = |i: usize| u32::from(pair(16 * side + i)) << (8 * (i % 4) + 2 * (i / 4));
            self.put(plane, 2 * block + side, (0..16).map(at).sum());
        }
    }

    /// Writes one bit of each weight of a block of 32 columns into the high bits, given in the
    /// order of the weights: that of weight 4j + c at bit 8c + j, that of weight 16 + 4j + c at bit
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

/// The 16-bit number at byte `at`.
pub(super) fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// The 32-bit number at byte `at`.
pub(super) fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
