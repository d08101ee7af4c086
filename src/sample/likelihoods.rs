//! How likely a model holds its tokens to be: logarithms of the probabilities that logits stand
//! for.

use serde::Serialize;

/// A token and how likely it is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Likely {
    /// The token.
    pub id: u32,
    /// The natural logarithm of its probability.
    pub logprob: f32,
}

/// How likely a chosen token was, and which ones were the likeliest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Likelihoods {
    /// The natural logarithm of the chosen token's probability.
    pub logprob: f32,
    /// The likeliest tokens, in order; the lower id first among equals.
    pub top: Vec<Likely>,
}

impl Likelihoods {
    /// How likely `chosen` and the `count` likeliest are, by the logits \[V\] that the model gave;
    /// `None` for an id outside them.
    pub fn new(logits: &[f32], chosen: u32, count: usize) -> Option<Self> {
        let logit = *logits.get(chosen as usize)?;
        let all = logsumexp(logits);
        Some(Self { logprob: (f64::from(logit) - all) as f32, top: likeliest(logits, count) })
    }
}

/// The `count` likeliest tokens, in order; the lower id first among equals.
pub fn likeliest(logits: &[f32], count: usize) -> Vec<Likely> {
    let all = logsumexp(logits);
    let mut ids: Vec<u32> = (0u32..).zip(logits).map(|(id, _)| id).collect();
    let order =
        |a: &u32, b: &u32| logits[*b as usize].total_cmp(&logits[*a as usize]).then(a.cmp(b));
    let count = count.min(ids.len());
    if (1..ids.len()).contains(&count) {
        // A vocabulary is sorted no further than it is asked for.
        ids.select_nth_unstable_by(count - 1, order);
    }
    ids.truncate(count);
    ids.sort_unstable_by(order);
    let likely = |id: u32| Likely { id, logprob: (f64::from(logits[id as usize]) - all) as f32 };
    ids.into_iter().map(likely).collect()
}

/// ln Σ exp(logit): minus a token's logit, its negative log likelihood.
pub fn logsumexp(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(logit - most).exp()).sum();
    f64::from(most) + sum.ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likeliest_come_first_and_the_sum_does_not_overflow() {
        let logits: Vec<f32> = (0..40).map(|n| 1000.0 + (n % 20) as f32).collect();
        let ids =
            |count| likeliest(&logits, count).iter().map(|likely| likely.id).collect::<Vec<_>>();
        assert_eq!(ids(4), [19, 39, 18, 38]);
        assert_eq!((ids(0).len(), ids(1), ids(40).len(), ids(99).len()), (0, vec![19], 40, 40));
        assert!((logsumexp(&[1000.0; 4]) - (1000.0 + 4f64.ln())).abs() < 1e-9);
    }

    #[test]
    fn probabilities_are_those_of_the_softmax() {
        let logits = [0.0, 3f32.ln(), f32::NEG_INFINITY, 0.0];
        let found = Likelihoods::new(&logits, 3, 2).unwrap();
        assert!((found.logprob - 0.2f32.ln()).abs() < 1e-6);
        let top: Vec<_> =
            found.top.iter().map(|likely| (likely.id, likely.logprob.exp())).collect();
        assert!(
            top[0].0 == 1
                && (top[0].1 - 0.6).abs() < 1e-6
                && top[1].0 == 0
                && (top[1].1 - 0.2).abs() < 1e-6
        );
        assert_eq!(Likelihoods::new(&logits, 4, 2), None);
        let sum: f32 = likeliest(&logits, 4).iter().map(|likely| likely.logprob.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-6);
    }
}
