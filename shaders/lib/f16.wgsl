// F16: two columns a texel, the first in the low half of each word.
//% include "matrix"

const HAS_SCALES: bool = false;
const COLUMN_SCALE: vec4<f32> = vec4<f32>(1.0);

fn quad(i: u32, slot: u32) -> mat4x4<f32> {
    let t = load_w(texel(0u, 16u * p.blocks, i, slot));
    let u = load_w(texel(0u, 16u * p.blocks, i + 1u, slot));
    return transpose(mat4x4<f32>(
        vec4<f32>(unpack2x16float(t.x), unpack2x16float(u.x)),
        vec4<f32>(unpack2x16float(t.y), unpack2x16float(u.y)),
        vec4<f32>(unpack2x16float(t.z), unpack2x16float(u.z)),
        vec4<f32>(unpack2x16float(t.w), unpack2x16float(u.w)),
    ));
}

// Nothing is left to unpack.
fn unpack(raw: Quads) -> Quads {
    return raw;
}

fn fetch(b: u32, j: u32, slot: u32) -> Quads {
    let first = b * 16u + 2u * j;
    return Quads(quad(first, slot), quad(first + 8u, slot));
}

fn scales(b: u32, slot: u32) -> Scales {
    return Scales(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(), vec4<f32>());
}
