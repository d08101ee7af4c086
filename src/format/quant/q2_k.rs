//! Q2_K: 256 weights in 16 groups `d * scale * q - dmin * min`. A block is 16 bytes of scales (low
//! half) and mins (high half), 64 bytes of pairs, `d` and `dmin`.

use super::format::{Format, Layout, Share, Wgsl};
use super::k_quants::{low_pair, pack_low_pairs, pack_scales, put_low_pairs};
use super::planes::{PackedRow, Plane, le32};
use super::rounding::{bounds, half_at, nearest, put_half, steps_and_mins};

pub(super) const FORMAT: Format = Format {
    name: "Q2_K",
    ggml_id: 10,
    block_len: 256,
    block_bytes: 16 + 64 + 2 + 2,
    dequantise,
    quantise,
    search: None,
    layout: Layout {
        levels: Share::of(2, 1),
        scales: Share::of(4, 8),
        supers: Share::of(1, 8),
        ..Layout::NONE
    },
    pack,
    wgsl: Wgsl { name: "q2_k", source: include_str!("../../../shaders/lib/q2_k.wgsl") },
};

fn dequantise(b: &[u8], out: &mut [f32]) {
    let (d, dmin) = (half_at(b, 80), half_at(b, 82));
    for i in 0..256 {
        let (scale, min) = (d * f32::from(b[i / 16] & 15), dmin * f32::from(b[i / 16] >> 4));
        out[i] = scale * f32::from(low_pair(&b[16..80], i)) - min;
    }
}

/// Encodes sixteen groups of 16 weights with a 4-bit scale and min each.
fn quantise(weights: &[f32], bytes: &mut Vec<u8>) {
    let groups: [(f32, f32); 16] = steps_and_mins(weights, 3.0);
    let mut factors = vec![];
    let d = put_half(&mut factors, bounds(&groups.map(|(step, _)| step)).1 / 15.0);
    let dmin = put_half(&mut factors, bounds(&groups.map(|(_, min)| min)).1 / 15.0);
    let mut q = [0u8; 256];
    for (g, ((step, min), group)) in groups.into_iter().zip(weights.chunks_exact(16)).enumerate() {
        let (scale, min) = (nearest(step / d, 0, 15) as u8, nearest(min / dmin, 0, 15) as u8);
        bytes.push(scale | min << 4);
        for (j, w) in group.iter().enumerate() {
            q[g * 16 + j] =
                nearest((w + dmin * f32::from(min)) / (d * f32::from(scale)), 0, 3) as u8;
        }
    }
    put_low_pairs(bytes, &q);
    bytes.extend(factors);
}

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (superblock, bytes) in row.chunks_exact(84).enumerate() {
        pack_low_pairs(packed, superblock, &bytes[16..80]);
        pack_scales(packed, superblock, &bytes[..16]);
        packed.put(Plane::Supers, superblock, le32(bytes, 80));
    }
}
