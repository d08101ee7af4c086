// Numbers 8 d .. of a head, from the row that starts with texel `row`: as they are stored, and as numbers. The scales are
// loaded once a row. Strategies that need f16 read keys and values of halves as such from a buffer, the same 16 bytes a lane, and
// sum in f32.
//% include "cache"

//% if CACHE == "f16"
fn scales_of_key(row: u32) -> vec4<u32> {
    return vec4<u32>();
}

fn scales_of_value(row: u32) -> vec4<u32> {
    return vec4<u32>();
}

alias Stored = {{ "Halves" if halves_keys else "vec4<u32>" }};

fn stored_key(row: u32, d: u32) -> Stored {
    return load_keys(row + d * 8u);
}

fn stored_value(row: u32, d: u32) -> Stored {
    return load_values(row + d);
}

fn eight(stored: Stored, d: u32, scales: vec4<u32>) -> Eight {
    //% if halves_keys
    return Eight(vec4<f32>(stored.lo), vec4<f32>(stored.hi));
    //% else
    return halves(stored);
    //% endif
}
//% elif CACHE == "f32"
fn scales_of_key(row: u32) -> vec4<u32> {
    return vec4<u32>();
}

fn scales_of_value(row: u32) -> vec4<u32> {
    return vec4<u32>();
}

alias Stored = Eight;

fn stored_key(row: u32, d: u32) -> Stored {
    return Stored(load_keys(row + d * 16u), load_keys(row + d * 16u + 8u));
}

fn stored_value(row: u32, d: u32) -> Stored {
    return Stored(load_values(row + 2u * d), load_values(row + 2u * d + 1u));
}

fn eight(stored: Stored, d: u32, scales: vec4<u32>) -> Eight {
    return stored;
}
//% else
fn scales_of_key(row: u32) -> vec4<u32> {
    return load_keys(row);
}

fn scales_of_value(row: u32) -> vec4<u32> {
    return load_values(row);
}

// Four signed bytes: shifted up, then down with their sign.
fn four_levels(word: u32) -> vec4<f32> {
    return vec4<f32>(bitcast<vec4<i32>>(vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u)) >> vec4<u32>(24u));
}

alias Stored = vec4<u32>;

fn stored_key(row: u32, d: u32) -> Stored {
    return load_keys(row + 8u + (d >> 1u) * 8u);
}

fn stored_value(row: u32, d: u32) -> Stored {
    return load_values(row + 1u + (d >> 1u));
}

fn eight(texel: Stored, d: u32, scales: vec4<u32>) -> Eight {
    let two_scales = unpack2x16float(scales[(d >> 3u) & 3u]);
    let scale = vec4<f32>(select(two_scales.x, two_scales.y, (d & 4u) != 0u));
    let words = select(texel.xy, texel.zw, (d & 1u) != 0u);
    return Eight(scale * four_levels(words.x), scale * four_levels(words.y));
}
//% endif

fn key_eight(row: u32, d: u32, scales: vec4<u32>) -> Eight {
    return eight(stored_key(row, d), d, scales);
}

fn value_eight(row: u32, d: u32, scales: vec4<u32>) -> Eight {
    return eight(stored_value(row, d), d, scales);
}
