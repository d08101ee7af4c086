// Q4_K: d * sc * q - dmin * mn.
//% include "k_scales"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

fn fetch(b: u32, j: u32, slot: u32) -> vec4<u32> {
    return nibble_texel(b, j, slot);
}

fn unpack(w: vec4<u32>) -> Quads {
    return Quads(nibble_quad(w), nibble_quad(w >> vec4<u32>(4u)));
}
