// F32: one column a texel.
//% include "matrix"

const HAS_SCALES: bool = false;
const COLUMN_SCALE: vec4<f32> = vec4<f32>(1.0);

fn column(i: u32, r4: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(load_w(texel(0u, 32u * p.blocks, i, r4)));
}

fn quad(i: u32, r4: u32) -> mat4x4<f32> {
    return mat4x4<f32>(column(i, r4), column(i + 1u, r4), column(i + 2u, r4), column(i + 3u, r4));
}

fn quads(b: u32, j: u32, r4: u32) -> Quads {
    let first = b * 32u + 4u * j;
    return Quads(quad(first, r4), quad(first + 16u, r4));
}

fn scales(b: u32, r4: u32) -> Scales {
    return Scales(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(), vec4<f32>());
}
