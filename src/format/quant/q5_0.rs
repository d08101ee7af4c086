//! Q5_0: 32 weights `d * (q - 16)`. A block is `d`, a u32 with bit 4 of each weight, and 16 bytes
//! of nibbles lo, hi.

use super::format::{Format, Layout, Share, Wgsl};
use super::nibbles::{fifth_bits, pack_nibbles, put_symmetric};
use super::planes::{PackedRow, Plane, le16, le32};
use super::rounding::{half_at, largest, search_step};

pub(super) const FORMAT: Format = Format {
    name: "Q5_0",
    ggml_id: 6,
    block_len: 32,
    block_bytes: 2 + 4 + 16,
    dequantise,
    // The extreme weight gets the extreme value, which there is only on the negative side: d takes
    // its sign.
    quantise: |weights, bytes| put_symmetric(bytes, weights, 16, largest(weights) / -16.0),
    search: Some(|weights, bytes| put_symmetric(bytes, weights, 16, search_step(weights, 16))),
    layout: Layout {
        levels: Share::of(4, 1),
        high: Share::of(1, 1),
        scales: Share::of(1, 2),
        ..Layout::NONE
    },
    pack,
    wgsl: Wgsl { name: "q5_0", source: include_str!("../../../shaders/lib/q5_0.wgsl") },
};

fn dequantise(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..16 {
        let (q, (h0, h1)) = (b[6 + j], fifth_bits(b, 2, j));
        out[j] = (i32::from(q & 15 | h0) - 16) as f32 * d;
        out[j + 16] = (i32::from(q >> 4 | h1) - 16) as f32 * d;
    }
}

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (block, bytes) in row.chunks_exact(22).enumerate() {
        packed.put_half(Plane::Scales, block, le16(bytes, 0));
        pack_nibbles(packed, block, bytes);
        packed.put_high_bits(block, le32(bytes, 2));
    }
}
