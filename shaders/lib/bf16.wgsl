// BF16: two columns in a texel, the first in the low half of each word.
//% include "floats"

const QUAD_STEPS: u32 = 2u;

fn quad(i: u32, slot: u32) -> mat4x4<f32> {
    let t = load_w(texel(0u, 16u * p.blocks, i, slot));
    let u = load_w(texel(0u, 16u * p.blocks, i + 1u, slot));
    let top = vec4<u32>(0xffff0000u);
    let low = vec4<u32>(16u);
    return mat4x4<f32>(
        bitcast<vec4<f32>>(t << low), bitcast<vec4<f32>>(t & top),
        bitcast<vec4<f32>>(u << low), bitcast<vec4<f32>>(u & top),
    );
}
