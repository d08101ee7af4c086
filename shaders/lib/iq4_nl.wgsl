// IQ4_NL: d * LEVELS[q]. The sixteen levels are bytes of four words, with 128 added to each so that
// no sign extension is needed. Selecting from a register is cheaper than from an array in memory.
//% include "nibbles"

const COLUMN_SCALE: vec4<f32> = vec4<f32>(1.0); // no field is masked in place

// Levels -127 -104 -83 -65, -49 -35 -22 -10, 1 13 25 38, 53 69 89 113; the first is in the lowest
// byte.
const LEVELS_0: u32 = 0x3f2d1801u;
const LEVELS_4: u32 = 0x766a5d4fu;
const LEVELS_8: u32 = 0xa6998d81u;
const LEVELS_12: u32 = 0xf1d9c5b5u;

// The levels of four rows, selected by the lowest four bits.
fn uneven(q: vec4<u32>) -> vec4<f32> {
    let upper = (q & vec4<u32>(4u)) != vec4<u32>(0u);
    let below = select(vec4<u32>(LEVELS_0), vec4<u32>(LEVELS_4), upper);
    let above = select(vec4<u32>(LEVELS_8), vec4<u32>(LEVELS_12), upper);
    let word = select(below, above, (q & vec4<u32>(8u)) != vec4<u32>(0u));
    return levels((word >> ((q & vec4<u32>(3u)) << vec4<u32>(3u))) & vec4<u32>(255u));
}

fn uneven_quad(w: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        uneven(w),
        uneven(w >> vec4<u32>(8u)),
        uneven(w >> vec4<u32>(16u)),
        uneven(w >> vec4<u32>(24u)),
    );
}

fn fetch(b: u32, j: u32, slot: u32) -> vec4<u32> {
    return nibble_texel(b, j, slot);
}

fn unpack(w: vec4<u32>) -> Quads {
    return Quads(uneven_quad(w), uneven_quad(w >> vec4<u32>(4u)));
}

fn scales(b: u32, slot: u32) -> Scales {
    let d = half_steps(b, slot);
    return Scales(d, d, -128.0 * d, -128.0 * d);
}
