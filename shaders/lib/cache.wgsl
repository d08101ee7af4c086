// Where the cache has what. Eight numbers of a head are what a lane reads and writes at once; row_texels(D / 8) texels hold a
// head of a position. In pages of 64 positions, a head's keys and values are one stream of several KiB, which a CPU's
// prefetcher follows:
//   keys   [P, K, 8, row_texels, 8 positions]  lanes with neighbouring positions read neighbouring texels
//   values [P, K, 64, row_texels]              lanes with neighbouring parts of the head do
// KEY_STEP: 8; or 1, and keys are like values.
// CACHE: f16, eight halves a texel; f32; q8_0, a texel of scales, halves, one for each 32 numbers, then sixteen levels, signed
// bytes, a texel. With RING the pages are used in turn.
//% include "halves"

fn row_texels(head8: u32) -> u32 {
    //% if CACHE == "f16"
    return head8;
    //% elif CACHE == "f32"
    return 2u * head8;
    //% else
    return 1u + (head8 + 1u) / 2u;
    //% endif
}

fn page_of(position: u32) -> u32 {
    //% if RING
    return (position >> 6u) % p.pages;
    //% else
    return position >> 6u;
    //% endif
}

// Texels from one of a key to the next.
const KEY_STEP: u32 = {{ KEY_STEP }}u;

// First texel of key `head`, one of key_heads with 8 head8 numbers.
fn key_row(position: u32, head: u32, key_heads: u32, head8: u32) -> u32 {
    let page = page_of(position) * key_heads + head;
    //% if KEY_STEP == 1
    return (page * 64u + (position & 63u)) * row_texels(head8);
    //% else
    return (page * 8u + ((position >> 3u) & 7u)) * row_texels(head8) * 8u + (position & 7u);
    //% endif
}

// Texels from a key to that of the next position, of the same eight.
fn next_key(head8: u32) -> u32 {
    return {{ "row_texels(head8)" if KEY_STEP == 1 else "1u" }};
}

// First texel of a value; the next ones follow.
fn value_row(position: u32, head: u32, key_heads: u32, head8: u32) -> u32 {
    let page = page_of(position) * key_heads + head;
    return (page * 64u + (position & 63u)) * row_texels(head8);
}
