// Q5_0: d * (q - 16). The fifth bits of a block are one word a row: bit 8c + j for lo, 8c + 4 + j for hi.
//% include "nibbles"

fn quads(b: u32, j: u32, slot: u32) -> Quads {
    let w = nibble_texel(b, j, slot);
    let h = load_w(texel(p.high, p.blocks, b, slot)) >> vec4<u32>(j);
    let lo = (w & vec4<u32>(0x0f0f0f0fu)) | ((h & vec4<u32>(0x01010101u)) << vec4<u32>(4u));
    let hi = ((w >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu)) | (h & vec4<u32>(0x10101010u));
    return Quads(byte_quad(lo), byte_quad(hi));
}

fn scales(b: u32, slot: u32) -> Scales {
    let d = half_steps(b, slot);
    return Scales(d, d, -16.0 * d, -16.0 * d);
}
