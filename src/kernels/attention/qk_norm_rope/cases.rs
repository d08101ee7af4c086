//! Cases and benchmark shapes of the pass that normalises and rotates heads.

use crate::Result;
use crate::kernels::attention::case_sizes::{CACHES, CacheCase, HEADS};
use crate::kernels::checked::{Cases, Checked, PROMPT, Shapes};
use crate::kernels::{CacheType, GRANULE, QkNormRope};

impl QkNormRope {
    /// A call with the sizes of `case`, with or without gains.
    fn made_up(cases: &mut Cases, case: &CacheCase, gains: bool, positions: usize) -> Result<Self> {
        let CacheCase { kind, heads, head, tokens, position, .. } = *case;
        let (sizes, ring) = case.sizes();
        let gains = if gains {
            Some([cases.filled("q_gain", &[head])?, cases.filled("k_gain", &[head])?])
        } else {
            None
        };
        Ok(Self {
            x: cases.filled("x", &[tokens, case.rows().next_multiple_of(32)])?,
            gains,
            eps: 1e-6,
            step: cases.words("step", &[position])?,
            rope: cases.filled("rope", &[positions, head])?,
            q: cases.empty("q", &[tokens, heads * head])?,
            cache: cases.cache(kind, sizes, ring)?,
            tokens,
        })
    }

    /// Sizes of Gemma 3 270M: four query heads of width 256 and one key head.
    fn of_gemma(cases: &mut Cases, tokens: usize) -> Result<Self> {
        let case = CacheCase {
            kind: CacheType::F16,
            heads: 4,
            key_heads: 1,
            head: 256,
            tokens,
            position: 0,
            capacity: PROMPT,
            window: None,
        };
        Self::made_up(cases, &case, true, PROMPT)
    }
}

/// Adds numbers of which some are too large for a half-precision scale.
fn add_large(cases: &mut Cases) -> Result<()> {
    let case = CacheCase {
        kind: CacheType::Q8_0,
        heads: 2,
        key_heads: 1,
        head: 64,
        tokens: 3,
        position: 5,
        capacity: GRANULE,
        window: None,
    };
    let kernel = QkNormRope::made_up(cases, &case, false, GRANULE)?;
    let numbers = cases.numbers(kernel.x.len(), 2e7);
    cases.put(&kernel.x, bytemuck::cast_slice(&numbers));
    cases.add("Q8_0, numbers beyond 127 times the largest half", kernel);
    Ok(())
}

impl Checked for QkNormRope {
    fn cases(cases: &mut Cases) -> Result<()> {
        add_large(cases)?;
        for case in CACHES {
            let kernel = Self::made_up(cases, &case, case.heads % 2 == 0, case.positions())?;
            cases.add(case.what(), kernel);
        }
        for (heads, key_heads, head, tokens, position) in HEADS {
            for gains in [false, true] {
                let (kind, capacity, window) = (CacheType::F16, 64, None);
                let case =
                    CacheCase { kind, heads, key_heads, head, tokens, position, capacity, window };
                let what = format!(
                    "{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}, \
                     gains {gains}"
                );
                let kernel = Self::made_up(cases, &case, gains, capacity)?;
                cases.add(what, kernel);
            }
        }
        Ok(())
    }

    fn shapes(shapes: &mut Shapes) {
        shapes.add("Gemma-3-270M decode qk_norm_rope", |cases| Self::of_gemma(cases, 1));
        shapes
            .add("Gemma-3-270M prefill of 256 qk_norm_rope", |cases| Self::of_gemma(cases, PROMPT));
    }
}
