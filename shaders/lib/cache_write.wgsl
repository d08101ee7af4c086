// Stores numbers 8 d .. 8 d + 7 of a head at a position. Bytes are stored by whole heads instead,
// which only qk_norm_rope does.
//% include "cache"

fn keep_key(position: u32, head: u32, d: u32, lo: vec4<f32>, hi: vec4<f32>) {
    let row = key_row(position, head);
    //% if CACHE == "f16"
    store_keys(row + d * KEY_STEP, pack_halves(lo, hi));
    //% else
    store_keys(row + 2u * d * KEY_STEP, lo);
    store_keys(row + (2u * d + 1u) * KEY_STEP, hi);
    //% endif
}

fn keep_value(position: u32, head: u32, d: u32, lo: vec4<f32>, hi: vec4<f32>) {
    let row = value_row(position, head);
    //% if CACHE == "f16"
    store_values(row + d, pack_halves(lo, hi));
    //% else
    store_values(row + 2u * d, lo);
    store_values(row + 2u * d + 1u, hi);
    //% endif
}
