// The cache: halves, eight numbers of a head a texel, in pages of 64 positions, so that a head's keys and values are
// one stream of several KiB, which a CPU's prefetcher follows:
//   keys   [capacity / 64, K, 8, D / 8, 8 positions]  lanes with neighbouring positions read neighbouring texels
//   values [capacity / 64, K, 64, D / 8]              lanes with neighbouring parts of the head do
//% include "halves"

// Texel of numbers 8 d .. of `head`, one of key_heads with 8 head8 numbers.
fn key_texel(position: u32, head: u32, key_heads: u32, head8: u32, d: u32) -> u32 {
    let page = (position >> 6u) * key_heads + head;
    return ((page * 8u + ((position >> 3u) & 7u)) * head8 + d) * 8u + (position & 7u);
}

fn value_texel(position: u32, head: u32, key_heads: u32, head8: u32, d: u32) -> u32 {
    let page = (position >> 6u) * key_heads + head;
    return (page * 64u + (position & 63u)) * head8 + d;
}
