//! Q3_K: 256 weights in 16 groups `d * scale * (q - 4)`. A block is 32 bytes of third bits (bit g
//! of byte j: weight 32g + j), 64 bytes of pairs, 12 of scales, and `d`.

use super::format::{Format, Layout, Share, Wgsl};
use super::k_quants::{low_pair, pack_high_bytes, pack_low_pairs, pack_scales, put_low_pairs};
use super::planes::{PackedRow, Plane, le16};
use super::rounding::{half_at, largest, nearest, put_half};

pub(super) const FORMAT: Format = Format {
    name: "Q3_K",
    ggml_id: 11,
    block_len: 256,
    block_bytes: 32 + 64 + 12 + 2,
    dequantise,
    quantise,
    search: None,
    layout: Layout {
        levels: Share::of(2, 1),
        high: Share::of(1, 1),
        scales: Share::of(4, 8),
        supers: Share::of(1, 16),
    },
    pack,
    wgsl: Wgsl { name: "q3_k", source: include_str!("../../../shaders/lib/q3_k.wgsl") },
};

/// The 6-bit scale of group `g` (0..16), less 32: low nibbles in 8 bytes, the upper two bits in 4
/// more.
fn scale(s: &[u8], g: usize) -> i8 {
    let low = s[g % 8] >> (g / 8 * 4) & 15;
    let high = s[8 + g % 4] >> (g / 4 * 2) & 3;
    (low | high << 4) as i8 - 32
}

fn dequantise(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 108);
    for i in 0..256 {
        let scale = d * f32::from(scale(&b[96..108], i / 16));
        let third = b[i % 32] >> (i / 32) & 1;
        out[i] = scale * (i32::from(low_pair(&b[32..96], i) | third << 2) - 4) as f32;
    }
}

/// Sixteen groups of 16 with a signed 6-bit scale each.
fn quantise(weights: &[f32], bytes: &mut Vec<u8>) {
    let mut steps = [0f32; 16];
    for (step, group) in steps.iter_mut().zip(weights.chunks_exact(16)) {
        *step = largest(group) / -4.0; // the sign goes to where the extreme value is
    }
    let mut factor = vec![];
    let d = put_half(&mut factor, largest(&steps).abs() / 31.0);
    let (mut q, mut scales) = ([0u8; 256], [0u8; 12]);
    for (g, group) in weights.chunks_exact(16).enumerate() {
        let scale = nearest(steps[g] / d, -31, 31);
        for (j, w) in group.iter().enumerate() {
            q[g * 16 + j] = (nearest(w / (d * scale as f32), -4, 3) + 4) as u8;
        }
        let scale = (scale + 32) as u8;
        scales[g % 8] |= (scale & 15) << (g / 8 * 4);
        scales[8 + g % 4] |= scale >> 4 << (g / 4 * 2);
    }
    bytes.extend((0..32).map(|j| (0..8).fold(0, |bits, g| bits | (q[g * 32 + j] >> 2) << g)));
    put_low_pairs(bytes, &q);
    bytes.extend(scales);
    bytes.extend(factor);
}

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (superblock, bytes) in row.chunks_exact(110).enumerate() {
        packed.put_half(Plane::Supers, superblock, le16(bytes, 108));
        pack_low_pairs(packed, superblock, &bytes[32..96]);
        pack_high_bytes(packed, superblock, &bytes[..32]);
        let scales: [u8; 16] = std::array::from_fn(|g| scale(&bytes[96..108], g) as u8);
        pack_scales(packed, superblock, &scales);
    }
}
