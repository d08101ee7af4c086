//% include "matrix"

const HAS_SCALES: bool = true;
// The COLUMN_SCALE of formats that mask all fields without shifting them.
const IN_PLACE: vec4<f32> = vec4<f32>(
    1.0, 0.00390625, 0.0000152587890625, 0.000000059604644775390625,
);

fn levels(masked: vec4<u32>) -> vec4<f32> {
    // Convert from i32, because software adapters convert u32 slowly.
    return vec4<f32>(bitcast<vec4<i32>>(masked));
}

// Four columns of four rows, from fields at bits 0, 8, 16 and 24.
fn field_quad(w: vec4<u32>, mask: u32) -> mat4x4<f32> {
    return mat4x4<f32>(
        levels(w & vec4<u32>(mask)),
        levels(w & vec4<u32>(mask << 8u)),
        levels(w & vec4<u32>(mask << 16u)),
        levels(w & vec4<u32>(mask << 24u)),
    );
}

fn nibble_quad(w: vec4<u32>) -> mat4x4<f32> {
    return field_quad(w, 0xfu);
}

// Bytes must be below 128, because the last one contains the sign bit.
fn byte_quad(w: vec4<u32>) -> mat4x4<f32> {
    return field_quad(w, 0xffu);
}

// The texel of 4-bit levels: columns 4j .. 4j+3 in the low halves of bytes, 16+4j .. 16+4j+3 in the
// high halves.
fn nibble_texel(b: u32, j: u32, slot: u32) -> vec4<u32> {
    return load_w(texel(0u, 4u * p.blocks, 4u * b + j, slot));
}

// A step for each row, two blocks in a texel.
fn half_steps(b: u32, slot: u32) -> vec4<f32> {
    let t = load_w(texel(p.scales, (p.blocks + 1u) >> 1u, b >> 1u, slot));
    let h = select(t.xy, t.zw, (b & 1u) == 1u);
    return vec4<f32>(unpack2x16float(h.x), unpack2x16float(h.y));
}

// The steps and offsets of a block of 32 columns.
fn step_offset(t: vec4<u32>) -> Scales {
    let a = unpack2x16float(t.x);
    let b = unpack2x16float(t.y);
    let c = unpack2x16float(t.z);
    let e = unpack2x16float(t.w);
    let d = vec4<f32>(a.x, b.x, c.x, e.x);
    let m = vec4<f32>(a.y, b.y, c.y, e.y);
    return Scales(d, d, m, m);
}
