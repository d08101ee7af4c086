//! IQ4_NL: 32 weights `d * LEVELS[q]`. A block is `d` and 16 bytes of nibbles lo, hi.

use super::format::{Format, Layout, Share, Wgsl};
use super::nibbles::pack_step_and_nibbles;
use super::rounding::{half_at, largest, put_half};

pub(super) const FORMAT: Format = Format {
    name: "IQ4_NL",
    ggml_id: 20,
    block_len: 32,
    block_bytes: 2 + 16,
    dequantise,
    quantise,
    search: None,
    layout: Layout { levels: Share::of(4, 1), scales: Share::of(1, 2), ..Layout::NONE },
    pack: pack_step_and_nibbles::<18>,
    wgsl: Wgsl { name: "iq4_nl", source: include_str!("../../../shaders/lib/iq4_nl.wgsl") },
};

/// The levels lie closer together near zero, where most weights are.
const LEVELS: [i8; 16] = [-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113];

fn dequantise(b: &[u8], out: &mut [f32]) {
    let d = half_at(b, 0);
    for j in 0..16 {
        let q = b[2 + j];
        out[j] = d * f32::from(LEVELS[usize::from(q & 15)]);
        out[j + 16] = d * f32::from(LEVELS[usize::from(q >> 4)]);
    }
}

fn quantise(weights: &[f32], bytes: &mut Vec<u8>) {
    let d = put_half(bytes, largest(weights) / -127.0);
    let level = |w: f32| {
        let x = if d == 0.0 { 0.0 } else { w / d };
        let distance = |level: &i8| (f32::from(*level) - x).abs();
        let nearest = LEVELS.iter().map(distance).enumerate().min_by(|a, b| a.1.total_cmp(&b.1));
        nearest.map_or(0, |(index, _)| index as u8)
    };
    bytes.extend((0..16).map(|j| level(weights[j]) | level(weights[j + 16]) << 4));
}
