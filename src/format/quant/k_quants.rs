//! Functions shared by the K formats, whose superblocks have 256 weights.

use super::planes::{PackedRow, Plane, le32};
use super::rounding::{bounds, nearest, put_half};

/// The 6-bit scale and min of group `g` (0..8) in Q4_K and Q5_K, from 12 bytes. The first four of
/// each are in the low bits of bytes 0..4 and 4..8; the last four have their low nibbles in bytes
/// 8..12 and their upper two bits above those of the first four.
pub fn scale_and_min(s: &[u8], g: usize) -> (u8, u8) {
    if g < 4 {
        (s[g] & 63, s[g + 4] & 63)
    } else {
        (s[g + 4] & 15 | s[g - 4] >> 6 << 4, s[g + 4] >> 4 | s[g] >> 6 << 4)
    }
}

/// Rounds the steps and mins of eight groups to 6 bits and appends `d`, `dmin` and 12 bytes.
/// Returns the levels of all weights, from 0 to `top`.
pub fn put_scales_and_mins(
    bytes: &mut Vec<u8>,
    block: &[f32],
    groups: [(f32, f32); 8],
    top: i32,
) -> [u8; 256] {
    let d = put_half(bytes, bounds(&groups.map(|(step, _)| step)).1 / 63.0);
    let dmin = put_half(bytes, bounds(&groups.map(|(_, min)| min)).1 / 63.0);
    let (mut scales, mut q) = ([0u8; 12], [0u8; 256]);
    for (g, ((step, min), group)) in groups.into_iter().zip(block.chunks_exact(32)).enumerate() {
        let (scale, min) = (nearest(step / d, 0, 63) as u8, nearest(min / dmin, 0, 63) as u8);
        if g < 4 {
            scales[g] = scale;
            scales[g + 4] = min;
        } else {
            scales[g + 4] = scale & 15 | min << 4;
            scales[g - 4] |= scale >> 4 << 6;
            scales[g] |= min >> 4 << 6;
        }
        for (j, w) in group.iter().enumerate() {
            q[g * 32 + j] =
                nearest((w + dmin * f32::from(min)) / (d * f32::from(scale)), 0, top) as u8;
        }
    }
    bytes.extend(scales);
    q
}

/// Appends the low nibbles of 256 levels in the order of Q4_K and Q5_K.
pub fn put_low_nibbles(bytes: &mut Vec<u8>, q: &[u8; 256]) {
    bytes.extend((0..128).map(|i| {
        let first = i / 32 * 64 + i % 32;
        q[first] & 15 | q[first + 32] << 4
    }));
}

/// Packs 128 bytes of nibbles in the order of Q4_K and Q5_K: groups 2i and 2i + 1 share bytes 32i
/// to 32i + 31.
pub fn pack_low_nibbles(packed: &mut PackedRow<'_>, superblock: usize, nibbles: &[u8]) {
    for group in 0..8 {
        let level = |at: usize| nibbles[group / 2 * 32 + at] >> (4 * (group % 2)) & 15;
        packed.put_nibbles(superblock * 8 + group, level);
    }
}

/// Packs the 16 bytes with the scales of a superblock.
pub fn pack_scales(packed: &mut PackedRow<'_>, superblock: usize, scales: &[u8]) {
    for word in 0..4 {
        packed.put(Plane::Scales, superblock * 4 + word, le32(scales, 4 * word));
    }
}

/// Packs 32 bytes in which bit g of byte j belongs to weight j of group g.
pub fn pack_high_bytes(packed: &mut PackedRow<'_>, superblock: usize, high: &[u8]) {
    for group in 0..8 {
        let bits = (0..32).fold(0, |bits, at| bits | u32::from(high[at] >> group & 1) << at);
        packed.put_high_bits(superblock * 8 + group, bits);
    }
}

/// The lowest two bits of weight `i` in Q2_K and Q3_K: weight 128h + 32r + j has pair r of byte 32h
/// + j.
pub fn low_pair(pairs: &[u8], i: usize) -> u8 {
    pairs[i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3
}

/// Appends the lowest two bits of 256 levels in the order that [`low_pair`] reads.
pub fn put_low_pairs(bytes: &mut Vec<u8>, q: &[u8; 256]) {
    let byte = |i: usize| {
        (0..4).fold(0, |bits, r| bits | (q[i / 32 * 128 + r * 32 + i % 32] & 3) << (2 * r))
    };
    bytes.extend((0..64).map(byte));
}

/// Packs 64 bytes of pairs in the order that [`low_pair`] reads.
pub fn pack_low_pairs(packed: &mut PackedRow<'_>, superblock: usize, pairs: &[u8]) {
    for group in 0..8 {
        let pair = |at: usize| low_pair(pairs, group * 32 + at);
        packed.put_pairs(Plane::Levels, superblock * 8 + group, pair);
    }
}
