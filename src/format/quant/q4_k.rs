//! Q4_K: 256 weights in 8 groups `d * scale * q - dmin * min`. A block is `d`, `dmin`, 12 bytes of
//! scales and mins, and 128 bytes of nibbles: groups 2i and 2i + 1 share bytes 32i to 32i + 31.

use super::format::{Format, Layout, Share, Wgsl};
use super::k_quants::{
    pack_low_nibbles, pack_scales, put_low_nibbles, put_scales_and_mins, scale_and_min,
};
use super::planes::PackedRow;
use super::rounding::{half_at, search_step_and_min, steps_and_mins};

pub(super) const FORMAT: Format = Format {
    name: "Q4_K",
    ggml_id: 12,
    block_len: 256,
    block_bytes: 2 + 2 + 12 + 128,
    dequantise,
    quantise: |weights, bytes| put(weights, steps_and_mins(weights, 15.0), bytes),
    search: Some(|weights, bytes| put(weights, searched(weights), bytes)),
    layout: Layout { levels: Share::of(4, 1), scales: Share::of(4, 8), ..Layout::NONE },
    pack,
    wgsl: Wgsl { name: "q4_k", source: include_str!("../../../shaders/lib/q4_k.wgsl") },
};

fn dequantise(b: &[u8], out: &mut [f32]) {
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

fn put(weights: &[f32], groups: [(f32, f32); 8], bytes: &mut Vec<u8>) {
    let q = put_scales_and_mins(bytes, weights, groups, 15);
    put_low_nibbles(bytes, &q);
}

fn searched(weights: &[f32]) -> [(f32, f32); 8] {
    std::array::from_fn(|g| search_step_and_min(&weights[g * 32..][..32], 15))
}

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (superblock, bytes) in row.chunks_exact(144).enumerate() {
        pack_scales(packed, superblock, bytes);
        pack_low_nibbles(packed, superblock, &bytes[16..]);
    }
}
