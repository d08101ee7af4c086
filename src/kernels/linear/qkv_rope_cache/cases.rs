//! Cases and benchmark shapes of the projection of queries, keys and values.

use crate::Result;
use crate::format::DType;
use crate::kernels::attention::case_sizes::{CACHES, CacheCase, HEADS};
use crate::kernels::checked::{Cases, Checked, MODEL_STEPS, ModelStep, Shapes};
use crate::kernels::linear::made_up::{
    OWN_BIAS_TOKENS, VARIANT_SIZE, Variant, for_each_variant, input, own_biases,
};
use crate::kernels::{CacheType, Input, Part, QkvRopeCache};

impl QkvRopeCache {
    /// A call with the sizes of `case`, with angles for `positions` positions.
    fn made_up(
        cases: &mut Cases,
        input: Input,
        w: Part,
        case: &CacheCase,
        positions: usize,
    ) -> Result<Self> {
        let (sizes, ring) = case.sizes();
        Ok(Self {
            input,
            w,
            step: cases.words("step", &[case.position])?,
            rope: cases.filled("rope", &[positions, case.head])?,
            first_row: 0,
            q: cases.empty("q", &[case.tokens, case.heads * case.head])?,
            cache: cases.cache(case.kind, sizes, ring)?,
        })
    }
}

/// A half-precision cache that is not a ring.
fn halves(
    [heads, key_heads, head, tokens]: [usize; 4],
    position: usize,
    capacity: usize,
) -> CacheCase {
    let (kind, position, window) = (CacheType::F16, position as u32, None);
    CacheCase { kind, heads, key_heads, head, tokens, position, capacity, window }
}

fn add_biases(cases: &mut Cases) -> Result<()> {
    let columns = 96;
    for tokens in [1, 9] {
        for normed in [false, true] {
            let case = halves([4, 2, 24, tokens], 11, 64);
            let bias = cases.filled("bias", &[case.rows()])?;
            let input = input(cases, normed, [tokens, columns], 1e-6)?.with_bias(Some(&bias));
            let w = cases.matrix(DType::BF16, case.rows(), columns)?;
            let kernel = QkvRopeCache::made_up(cases, input, w, &case, 64)?;
            cases.add(format!("bias, {tokens} tokens, norm {normed}"), kernel);
        }
    }
    for tokens in OWN_BIAS_TOKENS {
        let (input, w, what) = own_biases(cases, tokens)?;
        let case = halves([4, 2, 16, tokens], 11, 64);
        let kernel = QkvRopeCache::made_up(cases, input, w, &case, 64)?;
        cases.add(what, kernel);
    }
    Ok(())
}

impl Checked for QkvRopeCache {
    fn cases(cases: &mut Cases) -> Result<()> {
        let columns = 64;
        for (heads, key_heads, head, tokens, position) in HEADS {
            let case = halves([heads, key_heads, head, tokens], position as usize, 64);
            let input = input(cases, true, [tokens, columns], 1e-5)?;
            let w = cases.matrix(DType::F16, case.rows(), columns)?;
            let kernel = Self::made_up(cases, input, w, &case, 64)?;
            let what =
                format!("{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}");
            cases.add(what, kernel);
        }
        add_biases(cases)?;
        // A cache of bytes needs whole heads in a workgroup, which this kernel does not have.
        for case in CACHES.into_iter().filter(|case| case.kind != CacheType::Q8_0) {
            let input = input(cases, true, [case.tokens, columns], 1e-5)?;
            let w = cases.matrix(DType::F16, case.rows(), columns)?;
            let kernel = Self::made_up(cases, input, w, &case, case.positions())?;
            cases.add(case.what(), kernel);
        }
        Ok(())
    }

    fn variants(cases: &mut Cases) -> Result<()> {
        for_each_variant(cases, |cases, Variant { input, w, tokens, what, .. }| {
            let (key_heads, head) = (2, 16);
            let heads = VARIANT_SIZE[0] / head - 2 * key_heads;
            let case = halves([heads, key_heads, head, tokens], 0, 64);
            let kernel = Self::made_up(cases, input, w, &case, 64)?;
            cases.add(what, kernel);
            Ok(())
        })
    }

    fn shapes(shapes: &mut Shapes) {
        for step in &MODEL_STEPS {
            shapes.add_of_model(step, "attn_qkv", |cases, step| {
                let ModelStep { n_heads, n_kv_heads, head_dim, hidden_size, tokens, .. } = *step;
                let sizes = [n_heads, n_kv_heads, head_dim, tokens];
                let case = halves(sizes, step.position, step.capacity());
                let input = input(cases, true, [tokens, hidden_size], 1e-5)?;
                let w = cases.matrix(step.dtype, case.rows(), hidden_size)?;
                Self::made_up(cases, input, w, &case, step.capacity())
            });
        }
    }
}
