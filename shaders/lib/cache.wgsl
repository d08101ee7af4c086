// Addresses in the key-value cache. A lane reads and writes eight numbers of a head in one step;
// ROW_TEXELS texels hold a head at a position. The keys, or values, of a head are one contiguous
// stream, which a CPU's prefetcher can follow:
//   keys   [K, N / 8, ROW_TEXELS, 8 positions]  neighbouring positions in neighbouring texels
//   values [K, N, ROW_TEXELS]                   neighbouring parts of a head in neighbouring texels
// KEY_STEP is the number of texels from one texel of a key to the next: 8, or 1 if keys have the
// layout of values. CACHE is the type: f16, eight halves in a texel; f32; or q8_0, a texel of
// half-precision scales, one for each 32 numbers, followed by texels of sixteen levels, signed
// bytes. With RING the N positions, a multiple of 64, are reused cyclically.
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

// First texel of the value of head `head`, which is followed by the others.
fn value_row(position: u32, head: u32) -> u32 {
    return place_of(position, head) * ROW_TEXELS;
}

//% if KEY_STEP == 1
// Texels from a key to that of the next position within a group of eight.
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

// The texel `offset` texels after `row`, the first texel of a row (or of several) that contains
// it. If rows start at multiples of a power of two, the sum is a bitwise or, which lets a driver
// compute the address of the row once.
fn after(row: u32, offset: u32) -> u32 {
    //% if ROWS_OF_POWER
    return row | offset;
    //% else
    return row + offset;
    //% endif
}
