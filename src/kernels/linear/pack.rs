//! From rows as files store them to the texels that shaders read.
//!
//! `shaders/lib/matrix.wgsl` says what a texel holds: the same columns of four rows, so that
//! packing is mostly a transposition. Every format fills up to four planes, one after the other in
//! one tensor:
//!
//! | format | levels, texels a block of 32 columns | high bits, a block | scales | supers |
//! |---|---|---|---|---|
//! | F32 | 32 | | | |
//! | F16, BF16 | 16 | | | |
//! | Q8_0 | 8 | | 1 for 2 blocks | |
//! | Q4_0 | 4 | | 1 for 2 blocks | |
//! | Q4_1 | 4 | | 1 | |
//! | Q5_0 | 4 | 1 | 1 for 2 blocks | |
//! | Q5_1 | 4 | 1 | 1 | |
//! | Q4_K | 4 | | 4 for 8 blocks | |
//! | Q5_K | 4 | 1 | 4 for 8 blocks | |
//! | Q6_K | 4 | 2 | 4 for 8 blocks | 1 for 16 blocks |
//! | Q2_K | 2 | | 4 for 8 blocks | 1 for 8 blocks |
//! | Q3_K | 2 | 1 | 4 for 8 blocks | 1 for 16 blocks |
//! | IQ4_NL | 4 | | 1 for 2 blocks | |

use crate::format::DType;
use crate::format::low_bit_blocks::q3_k_scale;
use std::ops::Range;

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
    /// The planes of `dtype`.
    pub fn new(dtype: DType, rows: usize, columns: usize) -> Self {
        let (rows4, blocks) = (rows.div_ceil(4), columns.div_ceil(32));
        let lanes = rows4.next_multiple_of(16);
        let (levels, high, scales, supers) = match dtype {
            DType::F32 => (32 * blocks, 0, 0, 0),
            DType::F16 | DType::BF16 => (16 * blocks, 0, 0, 0),
            DType::Q8_0 => (8 * blocks, 0, blocks.div_ceil(2), 0),
            DType::Q4_0 | DType::IQ4NL => (4 * blocks, 0, blocks.div_ceil(2), 0),
            DType::Q4_1 => (4 * blocks, 0, blocks, 0),
            DType::Q5_0 => (4 * blocks, blocks, blocks.div_ceil(2), 0),
            DType::Q5_1 => (4 * blocks, blocks, blocks, 0),
            DType::Q4K => (4 * blocks, 0, 4 * blocks.div_ceil(8), 0),
            DType::Q5K => (4 * blocks, blocks, 4 * blocks.div_ceil(8), 0),
            DType::Q6K => (4 * blocks, 2 * blocks, 4 * blocks.div_ceil(8), blocks.div_ceil(16)),
            DType::Q2K => (2 * blocks, 0, 4 * blocks.div_ceil(8), blocks.div_ceil(8)),
            DType::Q3K => (2 * blocks, blocks, 4 * blocks.div_ceil(8), blocks.div_ceil(16)),
        };
        Self {
            rows4,
            blocks,
            steps: [levels, high, scales, supers],
            high: levels * lanes,
            scales: (levels + high) * lanes,
            supers: (levels + high + scales) * lanes,
            texels: (levels + high + scales + supers) * lanes,
        }
    }
}

const LEVELS: usize = 0;
const HIGH: usize = 1;
const SCALES: usize = 2;
const SUPERS: usize = 3;

impl Planes {
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
pub fn pack_row(dtype: DType, planes: &Planes, row: usize, bytes: &[u8], words: &mut [u32]) {
    let (r4, part) = (row / 4, row % 4);
    let slot = r4 / 16 * 16 + r4 % 2 * 8 + r4 % 16 / 2;
    let firsts = [0, planes.high, planes.scales, planes.supers];
    let mut put_word = |plane: usize, step: usize, word: usize, value: u32| {
        let texel = firsts[plane] + (slot / 8 * planes.steps[plane] + step) * 8 + slot % 8;
        words[texel * 4 + word] |= value;
    };
    for (block, bytes) in bytes.chunks_exact(dtype.block_bytes()).enumerate() {
        // A half a block, two blocks a texel: words 0 and 1 hold rows 0, 1 and 2, 3 of the even
        // block, words 2 and 3 those of the odd one.
        let half_word = 2 * (block % 2) + part / 2;
        let half = |at| u32::from(le16(bytes, at)) << (16 * (part % 2));
        match dtype {
            DType::Q4_0 | DType::Q5_0 | DType::Q8_0 | DType::IQ4NL => {
                put_word(SCALES, block / 2, half_word, half(0))
            }
            DType::Q6K => put_word(SUPERS, block / 2, half_word, half(208)),
            DType::Q3K => put_word(SUPERS, block / 2, half_word, half(108)),
            _ => {}
        }
        let mut put = |plane, index, value| put_word(plane, index, part, value);
        match dtype {
            DType::F32 => put(LEVELS, block, le32(bytes, 0)),
            DType::F16 | DType::BF16 => {
                put(LEVELS, block / 2, u32::from(le16(bytes, 0)) << (16 * (block % 2)))
            }
            DType::Q8_0 => {
                for word in 0..8 {
                    // Adding 128 to each byte flips its top bit.
                    put(LEVELS, block * 8 + word, le32(bytes, 2 + 4 * word) ^ 0x8080_8080);
                }
            }
            DType::Q4_0 | DType::Q4_1 | DType::Q5_0 | DType::Q5_1 | DType::IQ4NL => {
                let nibbles = dtype.block_bytes() - 16;
                for word in 0..4 {
                    put(LEVELS, block * 4 + word, le32(bytes, nibbles + 4 * word));
                }
                match dtype {
                    DType::Q4_1 => put(SCALES, block, le32(bytes, 0)),
                    DType::Q5_0 => put(HIGH, block, spread_fifth_bits(le32(bytes, 2))),
                    DType::Q5_1 => {
                        put(HIGH, block, spread_fifth_bits(le32(bytes, 4)));
                        put(SCALES, block, le32(bytes, 0));
                    }
                    _ => {}
                }
            }
            DType::Q4K | DType::Q5K => {
                let high = (dtype == DType::Q5K).then(|| &bytes[16..48]);
                let nibbles = &bytes[dtype.block_bytes() - 128..];
                for word in 0..4 {
                    put(SCALES, block * 4 + word, le32(bytes, 4 * word));
                }
                for group in 0..8 {
                    // Groups 2i and 2i+1 share 32 bytes of nibbles; group g has bit g of the 32
                    // high bytes.
                    let level = |at: usize| nibbles[group / 2 * 32 + at] >> (4 * (group % 2)) & 15;
                    put_nibbles(&mut put, block * 8 + group, level);
                    if let Some(high) = high {
                        let bits = (0..32)
                            .fold(0, |bits, at| bits | u32::from(high[at] >> group & 1) << at);
                        put(HIGH, block * 8 + group, spread_fifth_bits(bits));
                    }
                }
            }
            DType::Q6K => {
                let (low, high) = (&bytes[..128], &bytes[128..192]);
                for word in 0..4 {
                    put(SCALES, block * 4 + word, le32(bytes, 192 + 4 * word));
                }
                for group in 0..8 {
                    // 128 weights at a time: four groups share 64 bytes of nibbles and 32 of high
                    // bits.
                    let (half, quarter) = (group / 4, group % 4);
                    let level = |at: usize| {
                        low[half * 64 + quarter % 2 * 32 + at] >> (4 * (quarter / 2)) & 15
                    };
                    put_nibbles(&mut put, block * 8 + group, level);
                    let top = |at: usize| u32::from(high[half * 32 + at] >> (2 * quarter) & 3);
                    put_pairs(&mut put, HIGH, block * 8 + group, top);
                }
            }
            DType::Q2K | DType::Q3K => {
                let pairs = if dtype == DType::Q2K { &bytes[16..80] } else { &bytes[32..96] };
                for group in 0..8 {
                    // 128 weights at a time: four groups share 32 bytes.
                    let byte = |at: usize| pairs[group / 4 * 32 + at];
                    let pair = |at: usize| u32::from(byte(at) >> (2 * (group % 4)) & 3);
                    put_pairs(&mut put, LEVELS, block * 8 + group, pair);
                    if dtype == DType::Q3K {
                        let bits = (0..32)
                            .fold(0, |bits, at| bits | u32::from(bytes[at] >> group & 1) << at);
                        put(HIGH, block * 8 + group, spread_fifth_bits(bits));
                    }
                }
                for word in 0..4 {
                    let scale = |i: usize| match dtype {
                        DType::Q2K => bytes[4 * word + i],
                        _ => q3_k_scale(&bytes[96..108], 4 * word + i) as u8,
                    };
                    let scales = u32::from_le_bytes([0, 1, 2, 3].map(scale));
                    put(SCALES, block * 4 + word, scales);
                }
                if dtype == DType::Q2K {
                    put(SUPERS, block, le32(bytes, 80));
                }
            }
        }
    }
}

fn le16(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn le32(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Levels i and 16 + i share a byte, as in Q4_0.
fn put_nibbles(put: &mut impl FnMut(usize, usize, u32), block: usize, level: impl Fn(usize) -> u8) {
    for word in 0..4 {
        let byte =
            |i: usize| u32::from(level(4 * word + i) | level(16 + 4 * word + i) << 4) << (8 * i);
        put(LEVELS, block * 4 + word, byte(0) | byte(1) | byte(2) | byte(3));
    }
}

/// Two bits of each weight of a block, half by half: weight 4j + c of a half at bits 8c + 2j.
fn put_pairs(
    put: &mut impl FnMut(usize, usize, u32),
    plane: usize,
    block: usize,
    pair: impl Fn(usize) -> u32,
) {
    for side in 0..2 {
        let bits = (0..16).map(|i| pair(16 * side + i) << (8 * (i % 4) + 2 * (i / 4)));
        put(plane, 2 * block + side, bits.sum());
    }
}

/// Moves the fifth bit of weight i from bit i to where the shader expects it: bit 8c + j for weight
/// 4j + c, bit 8c + 4 + j for weight 16 + 4j + c.
fn spread_fifth_bits(bits: u32) -> u32 {
    (0..32).fold(0, |spread, i| {
        let to = 8 * (i % 4) + i % 16 / 4 + 4 * (i / 16);
        spread | (bits >> i & 1) << to
    })
}
