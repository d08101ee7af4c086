// Q5_0: d * (q - 16).
//% include "nibbles"
//% include "fifth_bits"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;

fn scales(b: u32, slot: u32) -> Scales {
    let d = half_steps(b, slot);
    return Scales(d, d, -16.0 * d, -16.0 * d);
}
