// Q4_K: d * sc * q - dmin * mn.
//% include "k_scales"

fn quads(b: u32, j: u32, slot: u32) -> Quads {
    let w = nibble_texel(b, j, slot);
    return Quads(nibble_quad(w), nibble_quad(w >> vec4<u32>(4u)));
}
