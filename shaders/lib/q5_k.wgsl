// Q5_K: d * sc * q - dmin * mn, with the fifth bits as in Q5_0.
//% include "k_scales"

fn quads(b: u32, j: u32, slot: u32) -> Quads {
    let w = nibble_texel(b, j, slot);
    let h = load_w(texel(p.high, p.blocks, b, slot)) >> vec4<u32>(j);
    let lo = (w & vec4<u32>(0x0f0f0f0fu)) | ((h & vec4<u32>(0x01010101u)) << vec4<u32>(4u));
    let hi = ((w >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu)) | (h & vec4<u32>(0x10101010u));
    return Quads(byte_quad(lo), byte_quad(hi));
}
