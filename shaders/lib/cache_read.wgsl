// Reads numbers 8 d .. 8 d + 7 of a head, from the row that starts at texel `row`, in stored form
// and as numbers. The scales are loaded once for each row. Strategies that need f16 read
// half-precision keys and values in a buffer directly, 16 bytes for each lane, and sum in f32.
//
// `moved` is `eight` without a factor of MOVED, which the caller applies to a sum. Where converting
// a half is slow, its bits are moved to those of a float instead. Numbers below 2^-14 may then
// become 0, because an adapter may flush small floats.
//% include "cache"

//% if CACHE == "f16"
fn scales_of_key(row: u32) -> vec4<u32> {
    return vec4<u32>();
}

fn scales_of_value(row: u32) -> vec4<u32> {
    return vec4<u32>();
}

//% if halves_keys
alias Stored = Halves;
//% else
alias Stored = vec4<u32>;
//% endif

fn stored_key(row: u32, d: u32) -> Stored {
    return load_keys(after(row, d * KEY_STEP));
}

fn stored_value(row: u32, d: u32) -> Stored {
    return load_values(after(row, d));
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
    return Stored(
        load_keys(after(row, 2u * d * KEY_STEP)),
        load_keys(after(row, (2u * d + 1u) * KEY_STEP)),
    );
}

fn stored_value(row: u32, d: u32) -> Stored {
    return Stored(load_values(after(row, 2u * d)), load_values(after(row, 2u * d + 1u)));
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

// Decodes four signed bytes: shifts them up, then down with their sign.
fn four_levels(word: u32) -> vec4<f32> {
    let shifted = vec4<u32>(word) << vec4<u32>(24u, 16u, 8u, 0u);
    return vec4<f32>(bitcast<vec4<i32>>(shifted) >> vec4<u32>(24u));
}

alias Stored = vec4<u32>;

fn stored_key(row: u32, d: u32) -> Stored {
    return load_keys(after(row, (1u + (d >> 1u)) * KEY_STEP));
}

fn stored_value(row: u32, d: u32) -> Stored {
    return load_values(after(row, 1u + (d >> 1u)));
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

//% if CACHE == "f16" and not halves_keys
const MOVED: f32 = 0x1p112;

// A float with the sign, exponent and digits of the half in the upper bits of each word.
fn moved_bits(words: vec4<u32>) -> vec4<f32> {
    let signed = bitcast<vec4<i32>>(words) >> vec4<u32>(3u);
    return bitcast<vec4<f32>>(bitcast<vec4<u32>>(signed) & vec4<u32>(0x8fffe000u));
}

fn moved(stored: Stored, d: u32, scales: vec4<u32>) -> Eight {
    let low = stored << vec4<u32>(16u);
    return Eight(
        moved_bits(vec4<u32>(low.x, stored.x, low.y, stored.y)),
        moved_bits(vec4<u32>(low.z, stored.z, low.w, stored.w)),
    );
}
//% else
const MOVED: f32 = 1.0;

fn moved(stored: Stored, d: u32, scales: vec4<u32>) -> Eight {
    return eight(stored, d, scales);
}
//% endif
