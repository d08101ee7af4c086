//! Q6_K: 256 weights in 16 groups `d * scale * (q - 32)`. A block is 128 bytes of low nibbles, 64
//! of upper bit pairs, 16 signed scales, and `d`. Each half of 128 weights has 64 and 32 of the
//! bytes: weight 32r + j (r in 0..4) has its low bits in byte 32 (r % 2) + j, half r / 2, and its
//! upper bits in byte j, pair r.

use super::format::{Format, Layout, Share, Wgsl};
use super::k_quants::pack_scales;
use super::planes::{PackedRow, Plane, le16};
use super::rounding::{half_at, largest, nearest};
use half::f16;

pub(super) const FORMAT: Format = Format {
    name: "Q6_K",
    ggml_id: 14,
    block_len: 256,
    block_bytes: 128 + 64 + 16 + 2,
    dequantise,
    quantise,
    search: None,
    layout: Layout {
        levels: Share::of(4, 1),
        high: Share::of(2, 1),
        scales: Share::of(4, 8),
        supers: Share::of(1, 16),
    },
    pack,
    wgsl: Wgsl { name: "q6_k", source: include_str!("../../../shaders/lib/q6_k.wgsl") },
};

fn low(b: &[u8], i: usize) -> u8 {
    let (half, r, j) = (i / 128, i / 32 % 4, i % 32);
    b[half * 64 + r % 2 * 32 + j] >> (r / 2 * 4) & 15
}

fn high(b: &[u8], i: usize) -> u8 {
    let (half, r, j) = (i / 128, i / 32 % 4, i % 32);
    b[128 + half * 32 + j] >> (r * 2) & 3
}

fn dequantise(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 208);
    for i in 0..256 {
        let scale = b[192 + i / 16] as i8;
        out[i] = d * f32::from(scale) * (i32::from(low(b, i) | high(b, i) << 4) - 32) as f32;
    }
}

/// Sixteen groups of 16 with a signed 8-bit scale each.
fn quantise(weights: &[f32], bytes: &mut Vec<u8>) {
    let mut steps = [0f32; 16];
    for (step, group) in steps.iter_mut().zip(weights.chunks_exact(16)) {
        *step = largest(group) / -32.0; // as in Q4_0, the sign goes to where the extreme value is
    }
    let d = f16::from_f32(largest(&steps).abs() / 127.0);
    let mut q = [0u8; 256];
    let mut scales = [0i8; 16];
    for (g, group) in weights.chunks_exact(16).enumerate() {
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

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (superblock, bytes) in row.chunks_exact(210).enumerate() {
        packed.put_half(Plane::Supers, superblock, le16(bytes, 208));
        pack_scales(packed, superblock, &bytes[192..208]);
        for group in 0..8 {
            let block = superblock * 8 + group;
            packed.put_nibbles(block, |at| low(bytes, group * 32 + at));
            packed.put_pairs(Plane::High, block, |at| high(bytes, group * 32 + at));
        }
    }
}
