// F16: two columns in a texel, the first in the low half of each word. Strategies that need f16
// read them from a buffer as halves, which need no unpacking. A lane still reads 16 bytes, so
// neighbouring lanes read neighbouring texels.
//% include "floats"

const QUAD_STEPS: u32 = 2u;

fn quad(i: u32, slot: u32) -> mat4x4<f32> {
    let t = load_w(texel(0u, 16u * p.blocks, i, slot));
    let u = load_w(texel(0u, 16u * p.blocks, i + 1u, slot));
    //% if halves_w
    return mat4x4<f32>(
        vec4<f32>(vec4<f16>(t.lo.xz, t.hi.xz)),
        vec4<f32>(vec4<f16>(t.lo.yw, t.hi.yw)),
        vec4<f32>(vec4<f16>(u.lo.xz, u.hi.xz)),
        vec4<f32>(vec4<f16>(u.lo.yw, u.hi.yw)),
    );
    //% else
    return transpose(mat4x4<f32>(
        vec4<f32>(unpack2x16float(t.x), unpack2x16float(u.x)),
        vec4<f32>(unpack2x16float(t.y), unpack2x16float(u.y)),
        vec4<f32>(unpack2x16float(t.z), unpack2x16float(u.z)),
        vec4<f32>(unpack2x16float(t.w), unpack2x16float(u.w)),
    ));
    //% endif
}
