//! Sizes that the cases of several attention kernels have.

use super::cache::{CacheType, GRANULE};

/// Heads, key heads, head width, tokens, and position of the first.
pub(in crate::kernels) const HEADS: [(usize, usize, usize, usize, u32); 10] = [
    (1, 1, 8, 1, 0),
    (4, 2, 16, 1, 7),
    (9, 3, 64, 1, 33),
    (3, 1, 128, 1, 8),
    (4, 4, 32, 5, 0),
    (9, 3, 64, 17, 5),
    (2, 1, 256, 3, 30),
    (16, 1, 80, 1, 19),
    (5, 1, 8, 13, 40),
    (6, 2, 24, 4, 12),
];

/// A cache of any type, which with a window is a ring.
#[derive(Clone, Copy)]
pub(in crate::kernels) struct CacheCase {
    pub kind: CacheType,
    pub heads: usize,
    pub key_heads: usize,
    pub head: usize,
    pub tokens: usize,
    /// Position of the first token.
    pub position: u32,
    /// Positions that the cache has room for.
    pub capacity: usize,
    pub window: Option<usize>,
}

const fn case(
    kind: CacheType,
    [heads, key_heads, head, tokens]: [usize; 4],
    position: u32,
    granules: usize,
    window: Option<usize>,
) -> CacheCase {
    let capacity = granules * GRANULE;
    CacheCase { kind, heads, key_heads, head, tokens, position, capacity, window }
}

/// Caches of the types that the other cases leave out, and rings.
pub(in crate::kernels) const CACHES: [CacheCase; 16] = [
    case(CacheType::F32, [1, 1, 8, 1], 0, 1, None),
    case(CacheType::F32, [9, 3, 64, 1], 133, 3, None),
    case(CacheType::F32, [6, 2, 24, 19], 12, 1, None),
    case(CacheType::Q8_0, [1, 1, 8, 1], 0, 1, None),
    case(CacheType::Q8_0, [4, 2, 16, 9], 7, 1, None),
    case(CacheType::Q8_0, [9, 3, 64, 1], 133, 3, None),
    case(CacheType::Q8_0, [9, 3, 64, 17], 5, 1, None),
    case(CacheType::Q8_0, [6, 2, 24, 4], 62, 2, None),
    case(CacheType::Q8_0, [4, 1, 80, 5], 19, 1, None),
    case(CacheType::Q8_0, [2, 1, 256, 3], 30, 1, None),
    // The ring starts over within the step, and is as full as it can be: its last token still sees
    // what the first one is about to overwrite.
    case(CacheType::F16, [4, 2, 16, 9], 60, 1, Some(56)),
    case(CacheType::F16, [3, 1, 24, 1], 1000, 1, Some(64)),
    case(CacheType::F16, [2, 1, 64, 33], 190, 2, Some(96)),
    case(CacheType::F32, [4, 2, 32, 21], 250, 2, Some(40)),
    case(CacheType::Q8_0, [4, 2, 32, 21], 250, 3, Some(100)),
    case(CacheType::Q8_0, [3, 1, 128, 1], 515, 2, Some(70)),
];

impl CacheCase {
    /// The sizes of the cache, and whether it is a ring.
    pub(in crate::kernels) fn sizes(&self) -> ([usize; 3], bool) {
        ([self.capacity, self.key_heads, self.head], self.window.is_some())
    }

    /// Queries, keys and values of a token.
    pub(in crate::kernels) fn rows(&self) -> usize {
        (self.heads + 2 * self.key_heads) * self.head
    }

    /// Positions of the tables of angles.
    pub(in crate::kernels) fn positions(&self) -> usize {
        self.position as usize + self.tokens
    }

    /// In words.
    pub(in crate::kernels) fn what(&self) -> String {
        let Self { kind, heads, key_heads, head, tokens, position, capacity, window } = self;
        format!(
            "{kind:?}, {heads}/{key_heads} heads of {head}, {tokens} tokens at {position}, \
             window {window:?} in {capacity} positions"
        )
    }
}

/// One token's cache in pieces: heads, key heads, width, position, pieces, window. Some pieces have
/// nothing, or only what a window hides.
pub(in crate::kernels) const PIECES: [(usize, usize, usize, u32, usize, Option<usize>); 6] = [
    (9, 3, 64, 300, 2, None),
    (4, 2, 16, 5, 3, None),
    (3, 1, 24, 150, 4, None),
    (2, 1, 256, 290, 2, Some(33)),
    (6, 3, 64, 0, 2, None),
    (8, 1, 8, 700, 5, Some(400)),
];
