// Formats whose levels are the weights themselves. The file of each defines quad(i, slot): four
// columns, in QUAD_STEPS texels starting at step i.
//% include "matrix"

const HAS_SCALES: bool = false;
const COLUMN_SCALE: vec4<f32> = vec4<f32>(1.0);

fn fetch(b: u32, j: u32, slot: u32) -> Quads {
    let first = (b * 8u + j) * QUAD_STEPS;
    return Quads(quad(first, slot), quad(first + 4u * QUAD_STEPS, slot));
}

// Floats need no unpacking.
fn unpack(raw: Quads) -> Quads {
    return raw;
}

fn scales(b: u32, slot: u32) -> Scales {
    return Scales(vec4<f32>(1.0), vec4<f32>(1.0), vec4<f32>(), vec4<f32>());
}
