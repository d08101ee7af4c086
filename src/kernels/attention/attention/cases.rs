//! Cases and benchmark shapes of attention.

use crate::Result;
use crate::kernels::attention::case_sizes::{CACHES, CacheCase, HEADS, PIECES};
use crate::kernels::checked::{Cases, Checked, MODEL_STEPS, ModelStep, Shapes};
use crate::kernels::{Attention, CacheType, Pieces};

/// The sizes of a call: heads, key heads, head width, tokens, and position of the first token.
type Sizes = (usize, usize, usize, usize, u32);

impl Attention {
    /// A call over an unsplit half-precision cache.
    fn made_up(
        cases: &mut Cases,
        (heads, key_heads, head, tokens, position): Sizes,
    ) -> Result<Self> {
        let capacity = (position as usize + tokens).next_multiple_of(64);
        Ok(Self {
            step: cases.words("step", &[position])?,
            q: cases.filled("q", &[tokens, heads * head])?,
            cache: cases.cache(CacheType::F16, [capacity, key_heads, head], false)?,
            y: cases.empty("y", &[tokens, heads * head])?,
            pieces: None,
            tokens,
            scale: 1.0 / (head as f32).sqrt(),
            window: None,
            cap: None,
        })
    }
}

/// Caches longer than a workgroup reads in one step.
const LONG: [Sizes; 2] = [(4, 2, 16, 1, 290), (3, 1, 24, 5, 150)];

/// Sizes, window and cap. The windows span one token, one block, several blocks, and more than the
/// whole cache.
const WINDOWS: [(Sizes, usize, Option<f32>); 6] = [
    ((4, 2, 16, 1, 7), 1, None),
    ((4, 2, 16, 9, 60), 8, None),
    ((3, 1, 24, 1, 150), 8, Some(2.0)),
    ((3, 1, 24, 13, 150), 100, Some(2.0)),
    ((2, 1, 256, 5, 290), 33, None),
    ((4, 4, 8, 20, 0), 512, None),
];

fn add_windows(cases: &mut Cases) -> Result<()> {
    for (sizes, window, cap) in WINDOWS {
        let kernel = Attention {
            scale: 0.4,
            window: Some(window),
            cap,
            ..Attention::made_up(cases, sizes)?
        };
        let (heads, key_heads, head, tokens, position) = sizes;
        let what = format!(
            "{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}, \
             window {window}, cap {cap:?}"
        );
        cases.add(what, kernel);
    }
    Ok(())
}

fn add_pieces(cases: &mut Cases) -> Result<()> {
    for (heads, key_heads, head, position, count, window) in PIECES {
        let whole = Attention::made_up(cases, (heads, key_heads, head, 1, position))?;
        let kernel = Attention {
            y: cases.empty("y", &[count, heads * head])?,
            pieces: Some(Pieces { count, stats: cases.empty("stats", &[count, heads, 4])? }),
            window,
            ..whole
        };
        let what = format!(
            "{heads}/{key_heads} heads of {head} at {position}, window {window:?}, {count} pieces"
        );
        cases.add(what, kernel);
    }
    Ok(())
}

fn add_caches(cases: &mut Cases) -> Result<()> {
    for case in CACHES {
        let CacheCase { kind, heads, head, tokens, position, window, .. } = case;
        let (sizes, ring) = case.sizes();
        let kernel = Attention {
            step: cases.words("step", &[position])?,
            q: cases.filled("q", &[tokens, heads * head])?,
            cache: cases.cache(kind, sizes, ring)?,
            y: cases.empty("y", &[tokens, heads * head])?,
            pieces: None,
            tokens,
            scale: 1.0 / (head as f32).sqrt(),
            window,
            cap: None,
        };
        cases.add(case.what(), kernel);
    }
    Ok(())
}

impl Checked for Attention {
    fn cases(cases: &mut Cases) -> Result<()> {
        for sizes in HEADS.into_iter().chain(LONG) {
            let (heads, key_heads, head, tokens, position) = sizes;
            let what =
                format!("{heads}/{key_heads} heads of {head}, {tokens} tokens at {position}");
            let kernel = Self::made_up(cases, sizes)?;
            cases.add(what, kernel);
        }
        add_windows(cases)?;
        add_pieces(cases)?;
        add_caches(cases)
    }

    fn shapes(shapes: &mut Shapes) {
        for step in &MODEL_STEPS {
            shapes.add_of_model(step, "attention", |cases, step| {
                let ModelStep { n_heads, n_kv_heads, head_dim, tokens, position, .. } = *step;
                Self::made_up(cases, (n_heads, n_kv_heads, head_dim, tokens, position as u32))
            });
        }
    }
}
