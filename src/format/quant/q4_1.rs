//! Q4_1: 32 weights `d * q + m`. A block is `d`, `m` and 16 bytes of nibbles lo, hi.

use super::format::{Format, Layout, Share, Wgsl};
use super::nibbles::{pack_nibbles, put_with_offset};
use super::planes::{PackedRow, Plane, le32};
use super::rounding::half_at;

pub(super) const FORMAT: Format = Format {
    name: "Q4_1",
    ggml_id: 3,
    block_len: 32,
    block_bytes: 2 + 2 + 16,
    dequantise,
    quantise: |weights, bytes| put_with_offset(bytes, weights, 15),
    search: None,
    layout: Layout { levels: Share::of(4, 1), scales: Share::of(1, 1), ..Layout::NONE },
    pack,
    wgsl: Wgsl { name: "q4_1", source: include_str!("../../../shaders/lib/q4_1.wgsl") },
};

fn dequantise(b: &[u8], out: &mut [f32]) {
    let (d, m) = (half_at(b, 0), half_at(b, 2));
    for j in 0..16 {
        let q = b[4 + j];
        out[j] = f32::from(q & 15) * d + m;
        out[j + 16] = f32::from(q >> 4) * d + m;
    }
}

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (block, bytes) in row.chunks_exact(20).enumerate() {
        pack_nibbles(packed, block, bytes);
        packed.put(Plane::Scales, block, le32(bytes, 0));
    }
}
