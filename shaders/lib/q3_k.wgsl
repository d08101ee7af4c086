// Q3_K: d * sc * (q - 4), with sc for 16 columns. The lower two bits are pairs. The third bits are
// a word for each row and block: quad j has bit 8c + j for lo and bit 8c + 4 + j for hi.
//% include "nibbles"
//% include "bit_pairs"
//% include "byte_scales"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

struct Raw {
    low: Pairs,
    high: vec4<u32>, // shifted so that quad j has bits 8c and 8c + 4
}

fn fetch(b: u32, j: u32, slot: u32) -> Raw {
    let low = bit_pairs(0u, b, j, slot);
    return Raw(low, load_w(texel(p.high, p.blocks, b, slot)) >> vec4<u32>(j));
}

fn unpack(raw: Raw) -> Quads {
    let pair = vec4<u32>(0x03030303u);
    let lo = (raw.low.lo & pair) | ((raw.high & vec4<u32>(0x01010101u)) << vec4<u32>(2u));
    let hi = (raw.low.hi & pair) | ((raw.high & vec4<u32>(0x10101010u)) >> vec4<u32>(2u));
    return Quads(byte_quad(lo), byte_quad(hi));
}

fn scales(b: u32, slot: u32) -> Scales {
    let s = byte_scales(b, slot);
    return Scales(s.d_lo, s.d_hi, -4.0 * s.d_lo, -4.0 * s.d_hi);
}
