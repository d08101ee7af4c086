//! Caches in the table of cases: of each type, and as rings.

use super::table::{Rows, put};
use crate::Result;
use crate::format::DType;
use crate::gpu::Allocator;
use crate::kernels::{
    Attention, CacheType, GRANULE, Input, LayerCache, MergePieces, Pieces, QkNormRope,
    QkvRopeCache, Side,
};

impl Rows {
    /// A layer's cache for so many positions, filled on both sides.
    pub(in crate::workbench) fn cache(
        &mut self,
        kind: CacheType,
        [positions, key_heads, head]: [usize; 3],
        ring: bool,
    ) -> Result<LayerCache> {
        let device = self.device.clone();
        self.cache_in(&device, kind, [positions, key_heads, head], ring)
    }

    /// A filled cache in tensors of `allocator`.
    pub(in crate::workbench) fn cache_in(
        &mut self,
        allocator: &dyn Allocator,
        kind: CacheType,
        [positions, key_heads, head]: [usize; 3],
        ring: bool,
    ) -> Result<LayerCache> {
        let positions = positions.next_multiple_of(GRANULE);
        let cache = LayerCache::new(allocator, "cache", kind, [positions, key_heads, head], ring)?;
        for (side, tensor) in [(Side::Keys, &cache.keys), (Side::Values, &cache.values)] {
            let words = self.memory.u32_mut(tensor);
            for position in 0..positions {
                for key_head in 0..key_heads {
                    let numbers = self.numbers.floats(head, 1.0);
                    cache.set_head(side, words, position, key_head, &numbers);
                }
            }
            put(&self.device, tensor, bytemuck::cast_slice(words));
        }
        Ok(cache)
    }
}

/// Type, heads, key heads, head width, tokens, position, granules of positions, window. With a
/// window the positions are a ring, some of them as full as can be.
type Row = (CacheType, usize, usize, usize, usize, u32, usize, Option<usize>);

const ROWS: [Row; 16] = [
    (CacheType::F32, 1, 1, 8, 1, 0, 1, None),
    (CacheType::F32, 9, 3, 64, 1, 133, 3, None),
    (CacheType::F32, 6, 2, 24, 19, 12, 1, None),
    (CacheType::Q8_0, 1, 1, 8, 1, 0, 1, None),
    (CacheType::Q8_0, 4, 2, 16, 9, 7, 1, None),
    (CacheType::Q8_0, 9, 3, 64, 1, 133, 3, None),
    (CacheType::Q8_0, 9, 3, 64, 17, 5, 1, None),
    (CacheType::Q8_0, 6, 2, 24, 4, 62, 2, None),
    (CacheType::Q8_0, 4, 1, 80, 5, 19, 1, None),
    (CacheType::Q8_0, 2, 1, 256, 3, 30, 1, None),
    // The ring begins anew within the step; its last token still sees what the first one is about
    // to see no more.
    (CacheType::F16, 4, 2, 16, 9, 60, 1, Some(56)),
    (CacheType::F16, 3, 1, 24, 1, 1000, 1, Some(64)),
    (CacheType::F16, 2, 1, 64, 33, 190, 2, Some(96)),
    (CacheType::F32, 4, 2, 32, 21, 250, 2, Some(40)),
    (CacheType::Q8_0, 4, 2, 32, 21, 250, 3, Some(100)),
    (CacheType::Q8_0, 3, 1, 128, 1, 515, 2, Some(70)),
];

/// One token's cache in pieces: heads, key heads, width, position, pieces, window. Some pieces have
/// nothing, or only what a window hides.
const PIECES: [(usize, usize, usize, u32, usize, Option<usize>); 6] = [
    (9, 3, 64, 300, 2, None),
    (4, 2, 16, 5, 3, None),
    (3, 1, 24, 150, 4, None),
    (2, 1, 256, 290, 2, Some(33)),
    (6, 3, 64, 0, 2, None),
    (8, 1, 8, 700, 5, Some(400)),
];

fn add_pieces(table: &mut Rows) -> Result<()> {
    for (heads, key_heads, head, position, count, window) in PIECES {
        let what = format!(
            "{heads}/{key_heads} heads of {head} at {position}, window {window:?}, {count} pieces"
        );
        let positions = position as usize + 1;
        let kernel = Attention {
            step: table.words("step", &[position])?,
            q: table.filled("q", &[1, heads * head])?,
            cache: table.cache(CacheType::F16, [positions, key_heads, head], false)?,
            y: table.empty("y", &[count, heads * head])?,
            pieces: Some(Pieces { count, stats: table.empty("stats", &[count, heads, 4])? }),
            tokens: 1,
            scale: 1.0 / (head as f32).sqrt(),
            window,
            cap: None,
        };
        table.case(what.clone(), kernel);

        // Highest scores of either sign, and sums of weights, of which the highest is 1.
        let numbers = table.numbers.floats(4 * count * heads, 1.0);
        let stats =
            numbers.iter().enumerate().map(|(at, &x)| if at % 4 == 1 { 1.0 + x.abs() } else { x });
        let kernel = MergePieces {
            x: table.filled("x", &[count, heads * head])?,
            pieces: Pieces {
                count,
                stats: table.given("stats", &[count, heads, 4], stats.collect())?,
            },
            y: table.empty("y", &[1, heads * head])?,
        };
        table.case(what, kernel);
    }
    Ok(())
}

/// Numbers of which some are too large for a scale in half precision.
fn add_large(table: &mut Rows) -> Result<()> {
    let (heads, key_heads, head, tokens) = (2usize, 1, 64, 3);
    let width = ((heads + 2 * key_heads) * head).next_multiple_of(32);
    let kernel = QkNormRope {
        x: {
            let numbers = table.numbers.floats(tokens * width, 2e7);
            table.given("x", &[tokens, width], numbers)?
        },
        gains: None,
        eps: 1e-6,
        step: table.words("step", &[5])?,
        rope: table.filled("rope", &[GRANULE, head])?,
        q: table.empty("q", &[tokens, heads * head])?,
        cache: table.cache(CacheType::Q8_0, [GRANULE, key_heads, head], false)?,
        tokens,
    };
    table.case("Q8_0, numbers beyond 127 times the largest half".into(), kernel);
    Ok(())
}

/// Appends them.
pub(in crate::workbench) fn add(table: &mut Rows) -> Result<()> {
    add_pieces(table)?;
    add_large(table)?;
    for (kind, heads, key_heads, head, tokens, position, granules, window) in ROWS {
        let (sizes, ring) = ([GRANULE * granules, key_heads, head], window.is_some());
        let what = format!(
            "{kind:?}, {heads}/{key_heads} heads of {head}, {tokens} tokens at {position}, window {window:?} in {} positions",
            GRANULE * granules
        );
        let kernel = Attention {
            step: table.words("step", &[position])?,
            q: table.filled("q", &[tokens, heads * head])?,
            cache: table.cache(kind, sizes, ring)?,
            y: table.empty("y", &[tokens, heads * head])?,
            pieces: None,
            tokens,
            scale: 1.0 / (head as f32).sqrt(),
            window,
            cap: None,
        };
        table.case(what.clone(), kernel);

        let (rows, positions) = ((heads + 2 * key_heads) * head, position as usize + tokens);
        let gains = match heads % 2 {
            0 => Some([table.filled("q_gain", &[head])?, table.filled("k_gain", &[head])?]),
            _ => None,
        };
        let kernel = QkNormRope {
            x: table.filled("x", &[tokens, rows.next_multiple_of(32)])?,
            gains,
            eps: 1e-6,
            step: table.words("step", &[position])?,
            rope: table.filled("rope", &[positions, head])?,
            q: table.empty("q", &[tokens, heads * head])?,
            cache: table.cache(kind, sizes, ring)?,
            tokens,
        };
        table.case(what.clone(), kernel);

        if kind == CacheType::Q8_0 {
            continue;
        }
        let columns = 64;
        let (x, gain) = (table.filled("x", &[tokens, columns])?, table.filled("gain", &[columns])?);
        let kernel = QkvRopeCache {
            input: Input::normed(&x, &gain, 1e-5, tokens),
            w: table.matrix(DType::F16, rows, columns)?.parts()[0].clone(),
            first_row: 0,
            step: table.words("step", &[position])?,
            rope: table.filled("rope", &[positions, head])?,
            q: table.empty("q", &[tokens, heads * head])?,
            cache: table.cache(kind, sizes, ring)?,
        };
        table.case(what, kernel);
    }
    Ok(())
}
