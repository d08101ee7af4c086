// Where the cache has what. Eight numbers of a head are what a lane reads and writes at once;
// ROW_TEXELS texels hold a head of a position. All that a head has for its keys, or its values, is
// one stream, which a CPU's prefetcher follows:
//   keys   [K, N / 8, ROW_TEXELS, 8 positions]  lanes with neighbouring positions read neighbouring
//          texels
//   values [K, N, ROW_TEXELS]                   lanes with neighbouring parts of the head do
// KEY_STEP: texels from one of a key to the next, 8; or 1, and keys are like values. CACHE: f16,
// eight halves a texel; f32; q8_0, a texel of scales, halves, one for each 32 numbers, then sixteen
// levels, signed bytes, a texel. With RING the N positions, a multiple of 64, are used in turn.
//% include "halves"

const HEAD8: u32 = {{ HEAD8 }}u;
const HEAD4: u32 = 2u * HEAD8;
const ROW_TEXELS: u32 = {{ ROW_TEXELS }}u;
const KEY_STEP: u32 = {{ KEY_STEP }}u;

fn place_of(position: u32, head: u32) -> u32 {
    //% if RING
    return head * p.positions + position % p.positions;
    //% else
    return head * p.positions + position;
    //% endif
}

// First texel of the value of head `head`; the next ones follow.
fn value_row(position: u32, head: u32) -> u32 {
    return place_of(position, head) * ROW_TEXELS;
}

//% if KEY_STEP == 1
// Texels from a key to that of the next position, of the same eight.
const NEXT_KEY: u32 = ROW_TEXELS;

fn key_row(position: u32, head: u32) -> u32 {
    return value_row(position, head);
}
//% else
const NEXT_KEY: u32 = 1u;

fn key_row(position: u32, head: u32) -> u32 {
    let place = place_of(position, head);
    return (place & ~7u) * ROW_TEXELS + (place & 7u);
}
//% endif

// The texel `offset` texels after `row`, where that is the first of rows that the offset does not
// leave. If rows begin at multiples of a power of two, no digit is carried, and a driver that sees
// it works out once where all these texels are.
fn after(row: u32, offset: u32) -> u32 {
    //% if ROWS_OF_POWER
    return row | offset;
    //% else
    return row + offset;
    //% endif
}
