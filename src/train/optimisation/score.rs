//! How well predictions do.

use serde::{Deserialize, Serialize};

/// Loss and accuracy over some targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean loss, nats.
    pub loss: f64,
    /// Share of targets that were the likeliest.
    pub accuracy: f64,
    /// Targets.
    pub count: f64,
}

/// As checkpoints store it: loss, accuracy, count. The device gave f32, so nothing is lost.
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

    /// The mean over the targets of all.
    pub fn mean(scores: &[Self]) -> Self {
        let count: f64 = scores.iter().map(|score| score.count).sum();
        let mean = |part: fn(&Self) -> f64| {
            scores.iter().map(|score| part(score) * score.count).sum::<f64>() / count.max(1.0)
        };
        Self { loss: mean(|score| score.loss), accuracy: mean(|score| score.accuracy), count }
    }
}
