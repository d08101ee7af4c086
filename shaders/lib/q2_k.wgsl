// Q2_K: d * sc * q - dmin * mn, where sc and mn for 16 columns are four bits each, the halves of a
// byte. The 16 bytes for 256 columns are four words, and texel i holds word i of four rows; d and
// dmin are a word for 256 columns.
//% include "nibbles"
//% include "bit_pairs"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

fn fetch(b: u32, j: u32, slot: u32) -> Pairs {
    return bit_pairs(0u, b, j, slot);
}

fn unpack(raw: Pairs) -> Quads {
    return Quads(field_quad(raw.lo, 3u), field_quad(raw.hi, 3u));
}

fn scales(b: u32, slot: u32) -> Scales {
    let supers = (p.blocks + 7u) >> 3u;
    let head = step_offset(load_w(texel(p.supers, supers, b >> 3u, slot)));
    // Each half of word (b mod 8) / 2 holds two bytes, for lo and hi.
    let word = load_w(texel(p.scales, 4u * supers, (b >> 3u) * 4u + ((b & 7u) >> 1u), slot));
    let s = word >> vec4<u32>(16u * (b & 1u));
    let d_lo = head.d_lo * levels(s & vec4<u32>(15u));
    let d_hi = head.d_lo * levels((s >> vec4<u32>(8u)) & vec4<u32>(15u));
    let m_lo = head.m_lo * levels((s >> vec4<u32>(4u)) & vec4<u32>(15u));
    let m_hi = head.m_lo * levels((s >> vec4<u32>(12u)) & vec4<u32>(15u));
    return Scales(d_lo, d_hi, -m_lo, -m_hi);
}
