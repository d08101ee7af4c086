// Formats whose levels are the weights. Each gives quad(i, slot): four columns, QUAD_STEPS texels
// from step i on.
//% include "matrix"

const HAS_SCALES: bool = false;
const COLUMN_SCALE: vec4<f32> = vec4<f32>(1.0);

fn fetch(b: u32, j: u32, slot: u32) -> Quads {
    let first = (b * 8u + j) * QUAD_STEPS;
    return Quads(quad(first, slot), quad(first + 4u * QUAD_STEPS, slot));
}

// Nothing is left to unpack.
fn unpack(raw: Quads) -> Quads {
    return raw;
}

fn scales(b: u32, slot: u32) -> Scales {
    return Scales(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(), vec4<f32>());
}
