// Q4_1: d * q + m.
//% include "nibbles"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

fn fetch(b: u32, j: u32, slot: u32) -> vec4<u32> {
    return nibble_texel(b, j, slot);
}

fn unpack(w: vec4<u32>) -> Quads {
    return Quads(nibble_quad(w), nibble_quad(w >> vec4<u32>(4u)));
}

fn scales(b: u32, slot: u32) -> Scales {
    return step_offset(load_w(texel(p.scales, p.blocks, b, slot)));
}
