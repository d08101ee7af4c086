//! F32, F16 and BF16, whose blocks are single numbers.

use super::format::{Format, Layout, Share, Wgsl};
use super::planes::{PackedRow, Plane, le16, le32};
use super::rounding::half_at;
use half::{bf16, f16};

/// 32-bit floats, one column in a texel.
pub(super) const F32: Format = Format {
    name: "F32",
    ggml_id: 0,
    block_len: 1,
    block_bytes: 4,
    dequantise: |b, out| out[0] = f32::from_le_bytes([b[0], b[1], b[2], b[3]]),
    quantise: |weights, bytes| bytes.extend(weights[0].to_le_bytes()),
    search: None,
    layout: Layout { levels: Share::of(32, 1), ..Layout::NONE },
    pack: |row, packed| {
        for (column, bytes) in row.chunks_exact(4).enumerate() {
            packed.put(Plane::Levels, column, le32(bytes, 0));
        }
    },
    wgsl: Wgsl { name: "f32", source: include_str!("../../../shaders/lib/f32.wgsl") },
};

/// Half precision, two columns in a texel.
pub(super) const F16: Format = Format {
    name: "F16",
    ggml_id: 1,
    block_len: 1,
    block_bytes: 2,
    dequantise: |b, out| out[0] = half_at(b, 0),
    quantise: |weights, bytes| bytes.extend(f16::from_f32(weights[0]).to_le_bytes()),
    search: None,
    layout: Layout { levels: Share::of(16, 1), ..Layout::NONE },
    pack: pack_halves,
    wgsl: Wgsl { name: "f16", source: include_str!("../../../shaders/lib/f16.wgsl") },
};

/// The upper halves of 32-bit floats, two columns in a texel.
pub(super) const BF16: Format = Format {
    name: "BF16",
    ggml_id: 30,
    dequantise: |b, out| out[0] = bf16::from_le_bytes([b[0], b[1]]).to_f32(),
    quantise: |weights, bytes| bytes.extend(bf16::from_f32(weights[0]).to_le_bytes()),
    wgsl: Wgsl { name: "bf16", source: include_str!("../../../shaders/lib/bf16.wgsl") },
    ..F16
};

/// Packs two columns in a word, the first in its low half.
fn pack_halves(row: &[u8], packed: &mut PackedRow<'_>) {
    for (column, bytes) in row.chunks_exact(2).enumerate() {
        packed.put(Plane::Levels, column / 2, u32::from(le16(bytes, 0)) << (16 * (column % 2)));
    }
}
