//! Where the references find keys and values: halves, two a word.

use half::f16;

/// Index of half `row` (key head * D + d) of `position` in a key cache [capacity / 8, K, D / 8, 8 tokens, 8 halves].
pub fn key_index(position: usize, row: usize, key_width: usize) -> usize {
    ((position / 8 * key_width / 8 + row / 8) * 8 + position % 8) * 8 + row % 8
}

/// Half `index` of packed `words`.
pub fn half_at(words: &[u32], index: usize) -> f32 {
    f16::from_bits((words[index / 2] >> (16 * (index % 2))) as u16).to_f32()
}

/// Rounds `value` into half `index` of packed `words`.
pub fn set_half(words: &mut [u32], index: usize, value: f32) {
    let shift = 16 * (index % 2);
    let kept = words[index / 2] & !(0xffff << shift);
    words[index / 2] = kept | u32::from(f16::from_f32(value).to_bits()) << shift;
}
