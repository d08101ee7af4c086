//! The types of two and three bits and the one of uneven levels, for [`super::blocks`]: Q2_K, Q3_K,
//! IQ4_NL.
//!
//! Layouts and the order of `f32` operations as in ggml's `dequantize_row_*`. A superblock of 256
//! weights keeps the lowest two bits of weight 128h + 32r + j in byte 32h + j, pair r, in both K
//! types.

use super::blocks::{bounds, half_at, largest, nearest, put_half};
use super::dtype::DType;

/// The levels of IQ4_NL: closer to one another near zero, where most weights are.
pub(crate) const UNEVEN_LEVELS: [i8; 16] =
    [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

/// The lowest two bits of weight `i`, whose bytes begin at `at`.
fn pair(b: &[u8], at: usize, i: usize) -> u8 {
    b[at + i / 128 * 32 + i % 32] >> (i / 32 % 4 * 2) & 3
}

/// 16 bytes of scales (low half) and mins (high half), 64 bytes of pairs, `d`, `dmin`.
pub(super) fn q2_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half_at(b, 80), half_at(b, 82));
    for i in 0..256 {
        let (scale, min) = (d * f32::from(b[i / 16] & 15), dmin * f32::from(b[i / 16] >> 4));
        out[i] = scale * f32::from(pair(b, 16, i)) - min;
    }
}

/// The 6-bit scale of group `g` (0..16) of Q3_K, less 32: low nibbles in 8 bytes, the upper two
/// bits in 4 more.
pub(crate) fn q3_k_scale(s: &[u8], g: usize) -> i8 {
    let low = s[g % 8] >> (g / 8 * 4) & 15;
    let high = s[8 + g % 4] >> (g / 4 * 2) & 3;
    (low | high << 4) as i8 - 32
}

/// 32 bytes of third bits (bit g of byte j: weight 32g + j), 64 bytes of pairs, 12 of scales, `d`.
pub(super) fn q3_k(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 108);
    for i in 0..256 {
        let scale = d * f32::from(q3_k_scale(&b[96..108], i / 16));
        let third = b[i % 32] >> (i / 32) & 1;
        out[i] = scale * (i32::from(pair(b, 32, i) | third << 2) - 4) as f32;
    }
}

/// `d`, 16 bytes of nibbles lo, hi that name a level.
pub(super) fn iq4_nl(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..16 {
        let q = b[2 + j];
        out[j] = d * f32::from(UNEVEN_LEVELS[usize::from(q & 15)]);
        out[j + 16] = d * f32::from(UNEVEN_LEVELS[usize::from(q >> 4)]);
    }
}

/// The two lowest bits of 256 levels.
fn put_pairs(bytes: &mut Vec<u8>, q: &[u8; 256]) {
    let byte = |i: usize| {
        (0..4).fold(0, |bits, r| bits | (q[i / 32 * 128 + r * 32 + i % 32] & 3) << (2 * r))
    };
    bytes.extend((0..64).map(byte));
}

/// Appends a superblock of `dtype`, Q2_K or Q3_K, or a block of IQ4_NL.
pub(super) fn put(dtype: DType, bytes: &mut Vec<u8>, block: &[f32]) {
    match dtype {
        DType::Q2K => put_q2_k(bytes, block),
        DType::Q3K => put_q3_k(bytes, block),
        _ => put_iq4_nl(bytes, block),
    }
}

/// Sixteen groups of 16 with a 4-bit scale and min each.
fn put_q2_k(bytes: &mut Vec<u8>, block: &[f32]) {
    let (mut steps, mut mins) = ([0f32; 16], [0f32; 16]);
    for (g, group) in block.chunks_exact(16).enumerate() {
        let (low, high) = bounds(group);
        mins[g] = (-low).max(0.0); // subtracted, and never negative
        steps[g] = (high + mins[g]).max(0.0) / 3.0;
    }
    let mut factors = vec![];
    let d = put_half(&mut factors, bounds(&steps).1 / 15.0);
    let dmin = put_half(&mut factors, bounds(&mins).1 / 15.0);
    let mut q = [0u8; 256];
    for (g, group) in block.chunks_exact(16).enumerate() {
        let (scale, min) =
            (nearest(steps[g] / d, 0, 15) as u8, nearest(mins[g] / dmin, 0, 15) as u8);
        bytes.push(scale | min << 4);
        for (j, w) in group.iter().enumerate() {
            q[g * 16 + j] =
                nearest((w + dmin * f32::from(min)) / (d * f32::from(scale)), 0, 3) as u8;
        }
    }
    put_pairs(bytes, &q);
    bytes.extend(factors);
}

/// Sixteen groups of 16 with a signed 6-bit scale each.
fn put_q3_k(bytes: &mut Vec<u8>, block: &[f32]) {
    let mut steps = [0f32; 16];
    for (step, group) in steps.iter_mut().zip(block.chunks_exact(16)) {
        *step = largest(group) / -4.0; // the sign goes to where the extreme value is
    }
    let mut factor = vec![];
    let d = put_half(&mut factor, largest(&steps).abs() / 31.0);
    let (mut q, mut scales) = ([0u8; 256], [0u8; 12]);
    for (g, group) in block.chunks_exact(16).enumerate() {
        let scale = nearest(steps[g] / d, -31, 31);
        for (j, w) in group.iter().enumerate() {
            q[g * 16 + j] = (nearest(w / (d * scale as f32), -4, 3) + 4) as u8;
        }
        let scale = (scale + 32) as u8;
        scales[g % 8] |= (scale & 15) << (g / 8 * 4);
        scales[8 + g % 4] |= scale >> 4 << (g / 4 * 2);
    }
    bytes.extend((0..32).map(|j| (0..8).fold(0, |bits, g| bits | (q[g * 32 + j] >> 2) << g)));
    put_pairs(bytes, &q);
    bytes.extend(scales);
    bytes.extend(factor);
}

fn put_iq4_nl(bytes: &mut Vec<u8>, block: &[f32]) {
    let d = put_half(bytes, largest(block) / -127.0);
    let level = |w: f32| {
        let x = if d == 0.0 { 0.0 } else { w / d };
        let distance = |level: &i8| (f32::from(*level) - x).abs();
        let nearest =
            UNEVEN_LEVELS.iter().map(distance).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.map_or(0, |(index, _)| index as u8)
    };
    bytes.extend((0..16).map(|j| level(block[j]) | level(block[j + 16]) << 4));
}
