// Q6_K: d * sc * (q - 32), sc for 16 columns. The upper two bits of a block are two texels, lo and hi: bits 8c + 2j.
// The 16 scales of 256 columns are bytes, word i of four rows in texel i. d is a half, two superblocks a texel.
//% include "nibbles"

struct Raw {
    low: vec4<u32>,
    high_lo: vec4<u32>, // shifted so that the bits of pair j are bits 8c and 8c + 1
    high_hi: vec4<u32>,
}

fn fetch(b: u32, j: u32, slot: u32) -> Raw {
    let shift = vec4<u32>(2u * j);
    let high_lo = load_w(texel(p.high, 2u * p.blocks, 2u * b, slot)) >> shift;
    let high_hi = load_w(texel(p.high, 2u * p.blocks, 2u * b + 1u, slot)) >> shift;
    return Raw(nibble_texel(b, j, slot), high_lo, high_hi);
}

fn unpack(raw: Raw) -> Quads {
    let top = vec4<u32>(0x03030303u);
    let lo = (raw.low & vec4<u32>(0x0f0f0f0fu)) | ((raw.high_lo & top) << vec4<u32>(4u));
    let hi = ((raw.low >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu)) | ((raw.high_hi & top) << vec4<u32>(4u));
    return Quads(byte_quad(lo), byte_quad(hi));
}

fn scales(b: u32, slot: u32) -> Scales {
    let super_block = b >> 3u;
    let t = load_w(texel(p.supers, (p.blocks + 15u) >> 4u, super_block >> 1u, slot));
    let h = select(t.xy, t.zw, (super_block & 1u) == 1u);
    let d = vec4<f32>(unpack2x16float(h.x), unpack2x16float(h.y));
    // Two signed bytes, of lo and hi, in each half of word (b mod 8) / 2.
    let word = load_w(texel(p.scales, 4u * ((p.blocks + 7u) >> 3u), super_block * 4u + ((b & 7u) >> 1u), slot));
    let s = word << vec4<u32>(16u * (1u - (b & 1u)));
    let d_lo = d * vec4<f32>(bitcast<vec4<i32>>(s << vec4<u32>(8u)) >> vec4<u32>(24u));
    let d_hi = d * vec4<f32>(bitcast<vec4<i32>>(s) >> vec4<u32>(24u));
    return Scales(d_lo, d_hi, -32.0 * d_lo, -32.0 * d_hi);
}
