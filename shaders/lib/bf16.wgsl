// BF16: two columns a texel, the first in the low half of each word.
//% include "matrix"

const HAS_SCALES: bool = false;
const COLUMN_SCALE: vec4<f32> = vec4<f32>(1.0);

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
