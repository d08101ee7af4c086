// Q5_K: d * sc * q - dmin * mn.
//% include "k_scales"
//% include "fifth_bits"

const COLUMN_SCALE: vec4<f32> = IN_PLACE;
