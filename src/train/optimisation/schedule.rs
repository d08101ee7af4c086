//! The learning rate of each step.

use serde::{Deserialize, Serialize};

/// A linear warm-up, then a constant rate or a cosine down to a floor (Loshchilov and Hutter 2017,
/// arXiv:1608.03983).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// The highest learning rate.
    #[serde(alias = "rate")]
    pub learning_rate: f64,
    /// Number of warm-up steps: step n of them has n / warmup of the learning rate.
    pub warmup: u64,
    /// The step at which the cosine reaches the floor; `None` for a constant learning rate.
    pub cosine_until: Option<u64>,
    /// Fraction of the learning rate at the end of the cosine.
    pub floor: f64,
}

impl Schedule {
    /// A constant learning rate after the warm-up.
    pub fn constant(rate: f64, warmup: u64) -> Self {
        Self { learning_rate: rate, warmup, cosine_until: None, floor: 0.0 }
    }

    /// The learning rate of a step; the first step is 1.
    pub fn at(&self, step: u64) -> f64 {
        if step < self.warmup {
            return self.learning_rate * step as f64 / self.warmup as f64;
        }
        let Some(end) = self.cosine_until.filter(|&end| end > self.warmup) else {
            return self.learning_rate;
        };
        let done = ((step - self.warmup) as f64 / (end - self.warmup) as f64).min(1.0);
        let share = 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        self.learning_rate * (self.floor + (1.0 - self.floor) * share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_and_fall() {
        let constant = Schedule::constant(2.0, 10);
        let cosine = Schedule { cosine_until: Some(110), floor: 0.1, ..constant };
        let rows = [
            (constant, 1, 0.2),
            (constant, 10, 2.0),
            (constant, 9999, 2.0),
            (cosine, 5, 1.0),
            (cosine, 10, 2.0),
            (cosine, 60, 1.1),
            (cosine, 110, 0.2),
            (cosine, 500, 0.2),
            (Schedule::constant(2.0, 0), 1, 2.0),
        ];
        for (schedule, step, expected) in rows {
            let rate = schedule.at(step);
            assert!((rate - expected).abs() < 1e-12, "{schedule:?} at {step}: {rate}");
        }
    }
}
