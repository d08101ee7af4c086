//! Functions shared by the formats of 32 weights with levels of four or five bits.

use super::planes::{PackedRow, Plane, le16, le32};
use super::rounding::{bounds, nearest, put_half};

/// The fifth bits of the weights `j` and `j + 16` in a 32-weight block, as 0 or 16.
pub fn fifth_bits(b: &[u8], at: usize, j: usize) -> (u8, u8) {
    let high = le32(b, at);
    (((high >> j) & 1) as u8 * 16, ((high >> (j + 16)) & 1) as u8 * 16)
}

/// Appends a block of weights `d * (q - half)`, with q below 2 * half: d, followed by the levels.
pub fn put_symmetric(bytes: &mut Vec<u8>, block: &[f32], half: i32, d: f32) {
    let d = put_half(bytes, d);
    let mut q = [0u8; 32];
    for (q, w) in q.iter_mut().zip(block) {
        *q = (nearest(w / d, -half, half - 1) + half) as u8;
    }
    put_levels(bytes, &q, half == 16);
}

/// Appends a block of weights `d * q + m`, with q from 0 to `top`: d, m, followed by the levels.
pub fn put_with_offset(bytes: &mut Vec<u8>, block: &[f32], top: i32) {
    let (low, high) = bounds(block);
    let d = put_half(bytes, (high - low) / top as f32);
    let m = put_half(bytes, low);
    let mut q = [0u8; 32];
    for (q, w) in q.iter_mut().zip(block) {
        *q = nearest((w - m) / d, 0, top) as u8;
    }
    put_levels(bytes, &q, top == 31);
}

/// Appends the levels of 32 weights: the fifth bits if `fifth`, and the nibbles.
fn put_levels(bytes: &mut Vec<u8>, q: &[u8; 32], fifth: bool) {
    if fifth {
        let high = (0..32).fold(0u32, |bits, j| bits | u32::from(q[j] >> 4) << j);
        bytes.extend(high.to_le_bytes());
    }
    bytes.extend((0..16).map(|j| q[j] & 15 | q[j + 16] << 4));
}

/// Packs the 16 bytes of nibbles at the end of a block of 32 weights, which have the order of the
/// texels.
pub fn pack_nibbles(packed: &mut PackedRow<'_>, block: usize, bytes: &[u8]) {
    let nibbles = bytes.len() - 16;
    for word in 0..4 {
        packed.put(Plane::Levels, block * 4 + word, le32(bytes, nibbles + 4 * word));
    }
}

/// Packs rows of blocks that start with a half, d, and end with nibbles.
pub fn pack_step_and_nibbles<const BYTES: usize>(row: &[u8], packed: &mut PackedRow<'_>) {
    for (block, bytes) in row.chunks_exact(BYTES).enumerate() {
        packed.put_half(Plane::Scales, block, le16(bytes, 0));
        pack_nibbles(packed, block, bytes);
    }
}
