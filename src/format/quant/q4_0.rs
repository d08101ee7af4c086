//! Q4_0: 32 weights `d * (q - 8)`. A block is `d` and 16 bytes of nibbles lo, hi.

use super::format::{Format, Layout, Share, Wgsl};
use super::nibbles::{pack_step_and_nibbles, put_symmetric};
use super::rounding::{half_at, largest, search_step};

pub(super) const FORMAT: Format = Format {
    name: "Q4_0",
    ggml_id: 2,
    block_len: 32,
    block_bytes: 2 + 16,
    dequantise,
    // The extreme weight gets level 0, which is the extreme value on the negative side, so d has
    // the opposite sign.
    quantise: |weights, bytes| put_symmetric(bytes, weights, 8, largest(weights) / -8.0),
    search: Some(|weights, bytes| put_symmetric(bytes, weights, 8, search_step(weights, 8))),
    layout: Layout { levels: Share::of(4, 1), scales: Share::of(1, 2), ..Layout::NONE },
    pack: pack_step_and_nibbles::<18>,
    wgsl: Wgsl { name: "q4_0", source: include_str!("../../../shaders/lib/q4_0.wgsl") },
};

fn dequantise(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..16 {
        let q = b[2 + j];
        out[j] = (i32::from(q & 15) - 8) as f32 * d;
        out[j + 16] = (i32::from(q >> 4) - 8) as f32 * d;
    }
}
