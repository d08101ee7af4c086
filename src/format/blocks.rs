//! Host conversion between stored weights and `f32`, in plain loops: the reference for every kernel
//! that reads blocks.
//!
//! [`dequantise`] follows `dequantize_row_*` of ggml's `ggml-quants.c`, in the same order of `f32`
//! operations, so it agrees to the bit. [`quantise`] rounds to nearest without ggml's search for
//! better scales: it makes weights of every type for tests and benches, not models to ship.
//!
//! All numbers are little-endian; `d`, `m` and `dmin` are f16. "Nibbles lo, hi" means weights j and
//! j + n/2 of a group of n share byte j, the first in its low half.

use super::dtype::DType;
use super::low_bit_blocks::{self, iq4_nl, q2_k, q3_k};
use half::{bf16, f16};

/// Turns whole blocks of `dtype` into `out`, one `f32` a weight.
///
/// # Errors
/// If `bytes` is not exactly the size of `out.len()` weights; the message lacks the name of the
/// tensor.
pub fn dequantise(dtype: DType, bytes: &[u8], out: &mut [f32]) -> Result<(), String> {
    let due = dtype.bytes_for(out.len() as u64);
    if due != Some(bytes.len() as u64) {
        let (weights, got) = (out.len(), bytes.len());
        return Err(match due {
            Some(due) => {
                format!("{weights} weights of type {dtype} take {due} bytes, but there are {got}")
            }
            None => {
                format!("{weights} weights are not whole {dtype} blocks of {}", dtype.block_len())
            }
        });
    }
    let block = match dtype {
        DType::F32 => {
            |b: &[u8], out: &mut [f32]| out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]])
        }
        DType::F16 => |b: &[u8], out: &mut [f32]| out[0] = half_at(b, 0),
        DType::BF16 => {
            |b: &[u8], out: &mut [f32]| out[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32()
        }
        DType::Q4_0 => q4_0,
        DType::Q4_1 => q4_1,
        DType::Q5_0 => q5_0,
        DType::Q5_1 => q5_1,
        DType::Q8_0 => q8_0,
        DType::Q4K => q4_k,
        DType::Q5K => q5_k,
        DType::Q6K => q6_k,
        DType::Q2K => q2_k,
        DType::Q3K => q3_k,
        DType::IQ4NL => iq4_nl,
    };
    let blocks = bytes.chunks_exact(dtype.block_bytes());
    blocks.zip(out.chunks_exact_mut(dtype.block_len())).for_each(|(bytes, out)| block(bytes, out));
    Ok(())
}

pub(super) fn half_at(b: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([b[at], b[at + 1]]).to_f32()
}

/// `d`, 16 bytes of nibbles lo, hi.
fn q4_0(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..16 {
        let q = b[2 + j];
        out[j] = (i32::from(q & 15) - 8) as f32 * d;
        out[j + 16] = (i32::from(q >> 4) - 8) as f32 * d;
    }
}

/// `d`, `m`, 16 bytes of nibbles lo, hi.
fn q4_1(b: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for j in 0..16 {
        let q = b[4 + j];
        out[j] = f32::from(q & 15) * d + m;
        out[j + 16] = f32::from(q >> 4) * d + m;
    }
}

/// The fifth bits of the weights `j` and `j + 16` of a 32-weight block, as 0 or 16.
fn fifth_bits(b: &[u8], at: usize, j: usize) -> (u8, u8) {
    let high = u32::from_le_bytes([b[at], b[at + 1], b[at + 2], b[at + 3]]);
    (((high >> j) & 1) as u8 * 16, ((high >> (j + 16)) & 1) as u8 * 16)
}

/// `d`, a u32 with bit 4 of each weight, 16 bytes of nibbles lo, hi.
fn q5_0(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..16 {
        let (q, (h0, h1)) = (b[6 + j], fifth_bits(b, 2, j));
        out[j] = (i32::from(q & 15 | h0) - 16) as f32 * d;
        out[j + 16] = (i32::from(q >> 4 | h1) - 16) as f32 * d;
    }
}

/// `d`, `m`, a u32 with bit 4 of each weight, 16 bytes of nibbles lo, hi.
fn q5_1(b: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for j in 0..16 {
        let (q, (h0, h1)) = (b[8 + j], fifth_bits(b, 4, j));
        out[j] = f32::from(q & 15 | h0) * d + m;
        out[j + 16] = f32::from(q >> 4 | h1) * d + m;
    }
}

/// `d`, 32 signed bytes.
fn q8_0(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..32 {
        out[j] = f32::from(b[2 + j] as i8) * d;
    }
}

/// The 6-bit scale and min of group `g` (0..8) out of 12 bytes: the first four of each in the low
/// bits of bytes 0..4 and 4..8, the last four as nibbles in bytes 8..12 with their upper two bits
/// on top of the former.
fn scale_and_min(s: &[u8], g: usize) -> (u8, u8) {
    if g < 4 {
        (s[g] & 63, s[g + 4] & 63)
    } else {
        (s[g + 4] & 15 | s[g - 4] >> 6 << 4, s[g + 4] >> 4 | s[g] >> 6 << 4)
    }
}

/// `d`, `dmin`, 12 bytes of scales and mins, 128 bytes of nibbles: groups 2i and 2i + 1 share bytes
/// 32i to 32i + 31.
fn q4_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    for g in 0..8 {
        let (scale, min) = scale_and_min(&b[4..16], g);
        let (d, m) = (d * f32::from(scale), dmin * f32::from(min));
        for j in 0..32 {
            let q = b[16 + g / 2 * 32 + j] >> (g % 2 * 4) & 15;
            out[g * 32 + j] = d * f32::from(q) - m;
        }
    }
}

/// As Q4_K, with 32 bytes before the nibbles: bit g of byte j is bit 4 of weight j of group g.
fn q5_k(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half_at(b, 0), half_at(b, 2));
    for g in 0..8 {
        let (scale, min) = scale_and_min(&b[4..16], g);
        let (d, m) = (d * f32::from(scale), dmin * f32::from(min));
        for j in 0..32 {
            let low = b[48 + g / 2 * 32 + j] >> (g % 2 * 4) & 15;
            let high = b[16 + j] >> g & 1;
            out[g * 32 + j] = d * f32::from(low | high << 4) - m;
        }
    }
}

/// 128 bytes of low nibbles, 64 of upper bit pairs, 16 signed scales, `d`. Each half of 128 weights
/// has 64 and 32 of the bytes: weight 32r + j (r in 0..4) has its low bits in byte 32 (r % 2) + j,
/// half r / 2, and its upper bits in byte j, pair r.
fn q6_k(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 208);
    for i in 0..256 {
        let (half, r, j) = (i / 128, i / 32 % 4, i % 32);
        let low = b[half * 64 + r % 2 * 32 + j] >> (r / 2 * 4) & 15;
        let high = b[128 + half * 32 + j] >> (r * 2) & 3;
        let scale = b[192 + i / 16] as i8;
        out[i] = d * f32::from(scale) * (i32::from(low | high << 4) - 32) as f32;
    }
}

/// Turns weights into blocks of `dtype`, each rounded to the nearest value its block can hold.
///
/// # Panics
/// If the weights are not whole blocks.
#[track_caller]
pub fn quantise(dtype: DType, weights: &[f32]) -> Vec<u8> {
    let len = dtype.block_len();
    assert!(
        weights.len().is_multiple_of(len),
        "{} weights are not whole {dtype} blocks",
        weights.len()
    );
    let mut bytes = Vec::with_capacity(weights.len() / len * dtype.block_bytes());
    for block in weights.chunks_exact(len) {
        match dtype {
            DType::F32 => bytes.extend(block[0].to_le_bytes()),
            DType::F16 => bytes.extend(f16::from_f32(block[0]).to_le_bytes()),
            DType::BF16 => bytes.extend(bf16::from_f32(block[0]).to_le_bytes()),
            // The extreme weight gets the extreme value, which there is only on the negative side:
            // d takes its sign.
            DType::Q4_0 => put_symmetric(dtype, &mut bytes, block, largest(block) / -8.0),
            DType::Q5_0 => put_symmetric(dtype, &mut bytes, block, largest(block) / -16.0),
            DType::Q4_1 | DType::Q5_1 => put_with_offset(dtype, &mut bytes, block),
            DType::Q8_0 => {
                let d = put_half(&mut bytes, largest(block).abs() / 127.0);
                bytes.extend(block.iter().map(|w| nearest(w / d, -127, 127) as u8));
            }
            DType::Q4K | DType::Q5K => {
                let top = if dtype == DType::Q4K { 15.0 } else { 31.0 };
                let (mut steps, mut mins) = ([0f32; 8], [0f32; 8]);
                for (g, group) in block.chunks_exact(32).enumerate() {
                    let (low, high) = bounds(group);
                    mins[g] = (-low).max(0.0); // subtracted, and never negative
                    steps[g] = (high + mins[g]).max(0.0) / top;
                }
                put_k_with_mins(dtype, &mut bytes, block, &steps, &mins);
            }
            DType::Q6K => put_q6_k(&mut bytes, block),
            DType::Q2K | DType::Q3K | DType::IQ4NL => low_bit_blocks::put(dtype, &mut bytes, block),
        }
        debug_assert!(bytes.len().is_multiple_of(dtype.block_bytes()));
    }
    bytes
}

/// Appends `value` as f16 and returns what was stored: quotients are taken by that.
pub(super) fn put_half(bytes: &mut Vec<u8>, value: f32) -> f32 {
    let stored = f16::from_f32(value);
    bytes.extend(stored.to_le_bytes());
    stored.to_f32()
}

/// The nearest integer within bounds; 0 for the 0/0 of an all-zero block.
pub(super) fn nearest(x: f32, min: i32, max: i32) -> i32 {
    (x.round() as i32).clamp(min, max)
}

/// The weight of the largest magnitude, with its sign.
pub(super) fn largest(weights: &[f32]) -> f32 {
    weights.iter().fold(0.0, |most: f32, w| if w.abs() > most.abs() { *w } else { most })
}

pub(super) fn bounds(weights: &[f32]) -> (f32, f32) {
    weights
        .iter()
        .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), w| (low.min(*w), high.max(*w)))
}

/// Q4_0 and Q5_0 with the step `d`: levels with an offset of half their range.
pub(super) fn put_symmetric(dtype: DType, bytes: &mut Vec<u8>, block: &[f32], d: f32) {
    let half = if dtype == DType::Q4_0 { 8 } else { 16 };
    let d = put_half(bytes, d);
    let mut q = [0u8; 32];
    for (q, w) in q.iter_mut().zip(block) {
        *q = (nearest(w / d, -half, half - 1) + half) as u8;
    }
    put_nibbles(bytes, &q, half == 16);
}

/// Q4_1 and Q5_1: levels above a stored minimum.
fn put_with_offset(dtype: DType, bytes: &mut Vec<u8>, block: &[f32]) {
    let levels = if dtype == DType::Q4_1 { 16 } else { 32 };
    let (low, high) = bounds(block);
    let d = put_half(bytes, (high - low) / (levels - 1) as f32);
    let m = put_half(bytes, low);
    let mut q = [0u8; 32];
    for (q, w) in q.iter_mut().zip(block) {
        *q = nearest((w - m) / d, 0, levels - 1) as u8;
    }
    put_nibbles(bytes, &q, levels == 32);
}

/// The levels of 32 weights: their fifth bits, where they have some, and their nibbles.
fn put_nibbles(bytes: &mut Vec<u8>, q: &[u8; 32], fifth: bool) {
    if fifth {
        let high = (0..32).fold(0u32, |bits, j| bits | u32::from(q[j] >> 4) << j);
        bytes.extend(high.to_le_bytes());
    }
    bytes.extend((0..16).map(|j| q[j] & 15 | q[j + 16] << 4));
}

/// Q4_K and Q5_K: eight groups of 32 with these steps and mins, each rounded to 6 bits.
pub(super) fn put_k_with_mins(
    dtype: DType,
    bytes: &mut Vec<u8>,
    block: &[f32],
    steps: &[f32; 8],
    mins: &[f32; 8],
) {
    let top = if dtype == DType::Q4K { 15 } else { 31 };
    let d = put_half(bytes, bounds(steps).1 / 63.0);
    let dmin = put_half(bytes, bounds(mins).1 / 63.0);
    let (mut scales, mut q) = ([0u8; 12], [0u8; 256]);
    for (g, group) in block.chunks_exact(32).enumerate() {
        let (scale, min) =
            (nearest(steps[g] / d, 0, 63) as u8, nearest(mins[g] / dmin, 0, 63) as u8);
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
    if dtype == DType::Q5K {
        bytes.extend((0..32).map(|j| (0..8).fold(0, |bits, g| bits | q[g * 32 + j] >> 4 << g)));
    }
    bytes.extend((0..128).map(|i| {
        let first = i / 32 * 64 + i % 32;
        q[first] & 15 | q[first + 32] << 4
    }));
}

/// Q6_K: sixteen groups of 16 with a signed 8-bit scale each.
fn put_q6_k(bytes: &mut Vec<u8>, block: &[f32]) {
    let mut steps = [0f32; 16];
    for (step, group) in steps.iter_mut().zip(block.chunks_exact(16)) {
        *step = largest(group) / -32.0; // as in Q4_0, the sign goes to where the extreme value is
    }
    let d = f16::from_f32(largest(&steps).abs() / 127.0);
    let mut q = [0u8; 256];
    let mut scales = [0i8; 16];
    for (g, group) in block.chunks_exact(16).enumerate() {
        scales[g] = nearest(steps[g] / d.to_f32(), -127, 127) as i8;
        for (j, w) in group.iter().enumerate() {
            q[g * 16 + j] = (nearest(w / (d.to_f32() * f32::from(scales[g])), -32, 31) + 32) as u8;
        }
    }
    for half in q.chunks_exact(128) {
        bytes.extend((0..64).map(|j| half[j] & 15 | half[j + 64] << 4));
    }
    for half in q.chunks_exact(128) {
        bytes.extend(
            (0..32).map(|j| (0..4).fold(0, |bits, r| bits | half[r * 32 + j] >> 4 << (r * 2))),
        );
    }
    bytes.extend(scales.map(|scale| scale as u8));
    bytes.extend(d.to_le_bytes());
}
