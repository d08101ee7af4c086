//! Q8_0: 32 weights `d * q`. A block is `d` and 32 signed bytes.

use super::format::{Format, Layout, Share, Wgsl};
use super::planes::{PackedRow, Plane, le16, le32};
use super::rounding::{half_at, largest, nearest, put_half};

pub(super) const FORMAT: Format = Format {
    name: "Q8_0",
    ggml_id: 8,
    block_len: 32,
    block_bytes: 2 + 32,
    dequantise,
    quantise,
    search: None,
    layout: Layout { levels: Share::of(8, 1), scales: Share::of(1, 2), ..Layout::NONE },
    pack,
    wgsl: Wgsl { name: "q8_0", source: include_str!("../../../shaders/lib/q8_0.wgsl") },
};

fn dequantise(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..32 {
        out[j] = f32::from(b[2 + j] as i8) * d;
    }
}

fn quantise(weights: &[f32], bytes: &mut Vec<u8>) {
    let d = put_half(bytes, largest(weights).abs() / 127.0);
    bytes.extend(weights.iter().map(|w| nearest(w / d, -127, 127) as u8));
}

fn pack(row: &[u8], packed: &mut PackedRow<'_>) {
    for (block, bytes) in row.chunks_exact(34).enumerate() {
        packed.put_half(Plane::Scales, block, le16(bytes, 0));
        for word in 0..8 {
            // Adding 128 to each byte flips its top bit.
            let levels = le32(bytes, 2 + 4 * word) ^ 0x8080_8080;
            packed.put(Plane::Levels, block * 8 + word, levels);
        }
    }
}
