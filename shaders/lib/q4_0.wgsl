// Q4_0: d * (q - 8).
//% include "nibbles"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

fn fetch(b: u32, j: u32, slot: u32) -> vec4<u32> {
    return nibble_texel(b, j, slot);
}

fn unpack(w: vec4<u32>) -> Quads {
    return Quads(nibble_quad(w), nibble_quad(w >> vec4<u32>(4u)));
}

fn scales(b: u32, slot: u32) -> Scales {
    let d = half_steps(b, slot);
    return Scales(d, d, -8.0 * d, -8.0 * d);
}
