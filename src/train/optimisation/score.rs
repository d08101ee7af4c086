//! Loss and accuracy of predictions.

use serde::{Deserialize, Serialize};

/// Loss and accuracy over some targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean loss, in nats per target.
    pub loss: f64,
    /// Fraction of targets that were predicted as the likeliest token.
    pub accuracy: f64,
    /// Number of targets.
    pub count: f64,
}

/// The form in checkpoints: loss, accuracy, count. The device computes in f32, so nothing is lost.
impl From<[f32; 3]> for Score {
    fn from(numbers: [f32; 3]) -> Self {
        let [loss, accuracy, count] = numbers.map(f64::from);
        Self { loss, accuracy, count }
    }
}

impl From<Score> for [f32; 3] {
    fn from(score: Score) -> Self {
        [score.loss as f32, score.accuracy as f32, score.count as f32]
    }
}

impl Score {
    pub(in crate::train) fn from_bits(words: &[u32]) -> Self {
        [0, 1, 2].map(|part| f32::from_bits(words[part])).into()
    }

    /// The mean of several scores, weighted by their numbers of targets.
    pub fn mean(scores: &[Self]) -> Self {
        let count: f64 = scores.iter().map(|score| score.count).sum();
        let mean = |part: fn(&Self) -> f64| {
            scores.iter().map(|score| part(score) * score.count).sum::<f64>() / count.max(1.0)
        };
        Self { loss: mean(|score| score.loss), accuracy: mean(|score| score.accuracy), count }
    }
}
