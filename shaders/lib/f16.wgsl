// F16: two columns a texel, the first in the low half of each word.
//% include "floats"

const QUAD_STEPS: u32 = 2u;

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
