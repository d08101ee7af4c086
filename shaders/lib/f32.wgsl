// F32: one column in a texel.
//% include "floats"

const QUAD_STEPS: u32 = 4u;

fn column(i: u32, slot: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(load_w(texel(0u, 32u * p.blocks, i, slot)));
}

fn quad(i: u32, slot: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        column(i, slot),
        column(i + 1u, slot),
        column(i + 2u, slot),
        column(i + 3u, slot),
    );
}
