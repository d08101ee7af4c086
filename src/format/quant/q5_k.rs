//! Q5_K: 256 weights in 8 groups `d * scale * q - dmin * min`. A block is `d`, `dmin`, 12 bytes of
//! scales and mins, 32 bytes in which bit g of byte j is bit 4 of weight j in group g, and 128
//! bytes of nibbles: groups 2i and 2i + 1 share bytes 32i to 32i + 31.

use super::format::{Format, Layout, Share, Wgsl};
use super::k_quants::{
    pack_high_bytes, pack_low_nibbles, pack_scales, put_low_nibbles, put_scales_and_mins,
    scale_and_min,
};
use super::planes::PackedRow;
use super::rounding::{half_at, steps_and_mins};

pub(super) const FORMAT: Format = Format {
    name: "Q5_K",
    ggml_id: 13,
    block_len: 256,
    block_bytes: 2 + 2 + 12 + 32 + 128,
    dequantise,
    quantise,
    search: None,
    layout: Layout {
        levels: Share::of(4, 1),
        high: Share::of(1, 1),
        scales: Share::of(4, 8),
        ..Layout::NONE
    },
    pack,
    wgsl: Wgsl { name: "q5_k", source: include_str!("../../../shaders/lib/q5_k.wgsl") },
};

fn dequantise(b: &[u8], out: &mut [f32]) {
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

fn quantise(weights: &[f32], bytes: &mut Vec<u8>) {
    let q = put_scales_and_mins(bytes, weights, steps_and_mins(weights, 31.0), 31);
    bytes.extend((0..32).map(|j| (0..8).fold(0, |bits, g| bits | q[g * 32 + j] >> 4 << g)));
    put_low_nibbles(bytes, &q);
}

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (superblock, bytes) in row.chunks_exact(176).enumerate() {
        pack_scales(packed, superblock, bytes);
        pack_high_bytes(packed, superblock, &bytes[16..48]);
        pack_low_nibbles(packed, superblock, &bytes[48..]);
    }
}
