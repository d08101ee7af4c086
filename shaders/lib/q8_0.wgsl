// Q8_0: d * q, stored as d * (u - 128) with unsigned bytes, which need no sign extension.
//% include "nibbles"

const COLUMN_SCALE: vec4<f32> = vec4<f32>(IN_PLACE.xyz, 1.0);

// byte_quad for bytes of 128 and more: the last column is shifted down, for masked in place it
// would be negative.
fn unsigned_quad(w: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        levels(w & vec4<u32>(0xffu)),
        levels(w & vec4<u32>(0xff00u)),
        levels(w & vec4<u32>(0xff0000u)),
        levels(w >> vec4<u32>(24u)),
    );
}

struct Raw {
    lo: vec4<u32>,
    hi: vec4<u32>,
}

fn fetch(b: u32, j: u32, slot: u32) -> Raw {
    let lo = load_w(texel(0u, 8u * p.blocks, 8u * b + j, slot));
    let hi = load_w(texel(0u, 8u * p.blocks, 8u * b + 4u + j, slot));
    return Raw(lo, hi);
}

fn unpack(raw: Raw) -> Quads {
    return Quads(unsigned_quad(raw.lo), unsigned_quad(raw.hi));
}

fn scales(b: u32, slot: u32) -> Scales {
    let d = half_steps(b, slot);
    return Scales(d, d, -128.0 * d, -128.0 * d);
}
