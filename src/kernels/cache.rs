//! Where the references find keys and values: halves, two a word.

use half::f16;

/// Positions whose keys, or values, of one head lie together.
pub const PAGE: usize = 64;

/// Where a cache of `key_heads` heads of width `head` has half `row` (key head * D + d) of a position.
#[derive(Clone, Copy)]
pub struct Pages {
    pub key_heads: usize,
    pub head: usize,
}

impl Pages {
    fn page(&self, position: usize, row: usize) -> usize {
        position / PAGE * self.key_heads + row / self.head
    }

    /// Index among keys [capacity / 64, K, 8, D / 8, 8 positions, 8 halves].
    pub fn key(&self, position: usize, row: usize) -> usize {
        let block = self.page(position, row) * (PAGE / 8) + position % PAGE / 8;
        (block * self.head + row % self.head / 8 * 8 + position % 8) * 8 + row % 8
    }

    /// Index among values [capacity / 64, K, 64 positions, D].
    pub fn value(&self, position: usize, row: usize) -> usize {
        (self.page(position, row) * PAGE + position % PAGE) * self.head + row % self.head
    }
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
