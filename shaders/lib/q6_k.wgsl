// Q6_K: d * sc * (q - 32), with sc for 16 columns. The upper two bits are pairs in the plane of
// high bits.
//% include "nibbles"
//% include "bit_pairs"
//% include "byte_scales"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

struct Raw {
    low: vec4<u32>,
    high: Pairs,
}

fn fetch(b: u32, j: u32, slot: u32) -> Raw {
    let high = bit_pairs(p.high, b, j, slot);
    return Raw(nibble_texel(b, j, slot), high);
}

fn unpack(raw: Raw) -> Quads {
    let top = vec4<u32>(0x03030303u);
    let lo = (raw.low & vec4<u32>(0x0f0f0f0fu)) | ((raw.high.lo & top) << vec4<u32>(4u));
    let hi = ((raw.low >> vec4<u32>(4u)) & vec4<u32>(0x0f0f0f0fu))
        | ((raw.high.hi & top) << vec4<u32>(4u));
    return Quads(byte_quad(lo), byte_quad(hi));
}

fn scales(b: u32, slot: u32) -> Scales {
    let s = byte_scales(b, slot);
    return Scales(s.d_lo, s.d_hi, -32.0 * s.d_lo, -32.0 * s.d_hi);
}
