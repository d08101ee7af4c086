//! A text cut into windows, and what models make of them.

use crate::model::{ModelComparison, Scorer};
use crate::{Error, Result};

/// Windows of a text: each is read on its own, and each token after its first is scored.
#[derive(Debug, Clone, PartialEq)]
pub struct Windows {
    windows: Vec<Vec<u32>>,
}

impl Windows {
    /// Cuts `ids` into windows of `context` tokens, the last one shorter. `bos` begins every window
    /// where it is given, so that a window then has room for one token of the text less.
    ///
    /// # Errors
    /// When `context` leaves nothing to score, or the text does.
    pub fn new(ids: &[u32], context: usize, bos: Option<u32>) -> Result<Self> {
        if context < 2 {
            let why = format!("of {context} tokens leaves nothing to score");
            return Err(Error::setting("a context", why));
        }
        let text = context - usize::from(bos.is_some());
        let windows: Vec<Vec<u32>> =
            ids.chunks(text).map(|ids| bos.iter().chain(ids).copied().collect()).collect();
        let all = Self { windows };
        match all.scored() {
            0 => {
                Err(Error::input(format!("a text of {} tokens leaves nothing to score", ids.len())))
            }
            _ => Ok(all),
        }
    }

    /// The ids of each window.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        self.windows.iter().map(Vec::as_slice)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.windows.len()
    }

    /// Tokens of all windows.
    pub fn tokens(&self) -> usize {
        self.windows.iter().map(Vec::len).sum()
    }

    /// Tokens that are scored.
    pub fn scored(&self) -> usize {
        self.tokens() - self.count()
    }
}

/// What a model thought of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextLikelihood {
    /// Mean negative log likelihood of a scored token, nats.
    pub mean_nll: f64,
    /// e to that power.
    pub perplexity: f64,
}

impl TextLikelihood {
    fn mean(total: f64, scored: usize) -> Self {
        let mean_nll = total / scored as f64;
        Self { mean_nll, perplexity: mean_nll.exp() }
    }
}

/// Scores all windows; `progress` is told how many tokens are scored.
///
/// # Errors
/// As [`Scorer::score`].
pub fn likelihood(
    judge: &mut Scorer,
    windows: &Windows,
    mut progress: impl FnMut(usize),
) -> Result<TextLikelihood> {
    let (mut total, mut scored) = (0.0, 0);
    for window in &windows.windows {
        let scores = judge.score(window, |more| progress(scored + more))?;
        total += scores.iter().map(|score| score.nll()).sum::<f64>();
        scored += scores.len();
    }
    Ok(TextLikelihood::mean(total, scored))
}

/// What two models thought of a text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct TextComparison {
    /// The first model's likelihood.
    pub a: TextLikelihood,
    /// The second's.
    pub b: TextLikelihood,
    /// Mean divergence of the second's distribution from the first's, nats a token.
    pub mean_divergence: f64,
    /// The largest one.
    pub max_divergence: f64,
    /// Share of tokens for which both expect the same one most.
    pub top1_agreement: f64,
}

/// Compares on all windows; `progress` is told how many tokens are scored.
///
/// # Errors
/// As [`ModelComparison::compare`].
pub fn comparison(
    comparer: &mut ModelComparison,
    windows: &Windows,
    mut progress: impl FnMut(usize),
) -> Result<TextComparison> {
    let (mut a, mut b, mut apart, mut most, mut same, mut scored) = (0.0, 0.0, 0.0, 0f64, 0, 0);
    for window in &windows.windows {
        let contrasts = comparer.compare(window, |more| progress(scored + more))?;
        for contrast in &contrasts {
            a += contrast.a.nll();
            b += contrast.b.nll();
            // Rounding may leave a little less than nothing.
            let divergence = f64::from(contrast.divergence).max(0.0);
            apart += divergence;
            most = most.max(divergence);
            same += usize::from(contrast.a.best == contrast.b.best);
        }
        scored += contrasts.len();
    }
    let of_all = |sum: f64| sum / scored as f64;
    Ok(TextComparison {
        a: TextLikelihood::mean(a, scored),
        b: TextLikelihood::mean(b, scored),
        mean_divergence: of_all(apart),
        max_divergence: most,
        top1_agreement: of_all(same as f64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_begin_as_the_model_asks_and_lose_nothing() {
        let ids: Vec<u32> = (10..20).collect();
        // Context, first token, windows, tokens, scored.
        type Row = (usize, Option<u32>, &'static [&'static [u32]], usize, usize);
        let rows: [Row; 5] = [
            (16, None, &[&[10, 11, 12, 13, 14, 15, 16, 17, 18, 19]], 10, 9),
            (16, Some(1), &[&[1, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19]], 11, 10),
            (4, None, &[&[10, 11, 12, 13], &[14, 15, 16, 17], &[18, 19]], 10, 7),
            (6, Some(1), &[&[1, 10, 11, 12, 13, 14], &[1, 15, 16, 17, 18, 19]], 12, 10),
            (9, None, &[&[10, 11, 12, 13, 14, 15, 16, 17, 18], &[19]], 10, 8),
        ];
        for (context, bos, expected, tokens, scored) in rows {
            let windows = Windows::new(&ids, context, bos).unwrap();
            assert_eq!(windows.windows, expected, "context {context}, {bos:?}");
            assert_eq!((windows.count(), windows.tokens()), (expected.len(), tokens));
            assert_eq!(windows.scored(), scored, "context {context}, {bos:?}");
        }
        for (ids, context, bos) in [(&ids[..], 1, None), (&ids[..1], 8, None), (&[], 8, Some(1))] {
            assert!(Windows::new(ids, context, bos).is_err());
        }
    }
}
