// Q5_1: d * q + m.
//% include "nibbles"
//% include "fifth_bits"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

fn scales(b: u32, slot: u32) -> Scales {
    return step_offset(load_w(texel(p.scales, p.blocks, b, slot)));
}
