// F32: one column a texel.
//% include "matrix"

const HAS_SCALES: bool = false;
const COLUMN_SCALE: vec4<f32> = vec4<f32>(1.0);

fn column(i: u32, slot: u32) -> vec4<f32> {
    return bitcast<vec4<f32>>(load_w(texel(0u, 32u * p.blocks, i, slot)));
}

fn quad(i: u32, slot: u32) -> mat4x4<f32> {
    return mat4x4<f32>(column(i, slot), column(i + 1u, slot), column(i + 2u, slot), column(i + 3u, slot));
}

// Nothing is left to unpack.
fn unpack(raw: Quads) -> Quads {
    return raw;
}

fn fetch(b: u32, j: u32, slot: u32) -> Quads {
    let first = b * 32u + 4u * j;
    return Quads(quad(first, slot), quad(first + 16u, slot));
}

fn scales(b: u32, slot: u32) -> Scales {
    return Scales(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(), vec4<f32>());
}
