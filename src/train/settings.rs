//! The settings of training.

use crate::train::model::config::Shape;
use crate::train::optimisation::optimiser::OptimizerKind;
use crate::train::optimisation::schedule::Schedule;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Batch size, optimiser and learning rate of a training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Number of sequences in a forward pass.
    pub batch: usize,
    /// Number of forward passes whose gradients are added up for a step.
    pub accumulate: usize,
    /// Number of positions at the end of a sequence that have targets.
    #[serde(alias = "kept")]
    pub loss_positions: usize,
    /// The learning rate of each step.
    pub schedule: Schedule,
    /// The optimiser.
    #[serde(alias = "method")]
    pub optimizer: OptimizerKind,
    /// Weight decay.
    #[serde(alias = "decay")]
    pub weight_decay: f32,
    /// Largest norm of all gradients together; larger ones are scaled down.
    #[serde(alias = "clip")]
    pub max_grad_norm: Option<f32>,
    /// Determines the initial values and the order of sequences.
    pub seed: u64,
}

impl Settings {
    /// Refuses settings that are impossible.
    ///
    /// # Errors
    /// The message names the number that is wrong, and says what it must be.
    pub fn check(&self, shape: &Shape) -> Result<()> {
        let wrong = |name: &str, why: String| Err(Error::setting(name, why));
        if self.batch == 0
            || self.accumulate == 0
            || self.loss_positions == 0
            || self.loss_positions > shape.context
        {
            let why = format!(
                "{}, accumulation {} and targets {} of {} places: all must be 1 or more, targets \
                 no more than places",
                self.batch, self.accumulate, self.loss_positions, shape.context
            );
            return wrong("batch", why);
        }
        // Token ids are read from a uniform buffer, which holds 64 KiB on every adapter.
        if self.batch.saturating_mul(shape.context) > 16384 {
            let why = format!(
                "{} of {} places is more than 16384 tokens; accumulate gradients over smaller \
                 batches",
                self.batch, shape.context
            );
            return wrong("batch", why);
        }
        if self.batch.saturating_mul(self.accumulate) > 1 << 16 {
            let why = format!("of {} sequences a step is too large", self.batch * self.accumulate);
            return wrong("a batch", why);
        }
        // The device computes in f32, where a small rate may become zero.
        let rate = self.schedule.learning_rate as f32;
        if !(rate > 0.0 && rate.is_finite()) {
            let rate = self.schedule.learning_rate;
            return wrong("a learning rate", format!("of {rate}; it must be a number above 0"));
        }
        if !(self.weight_decay >= 0.0 && self.weight_decay.is_finite()) {
            let decay = self.weight_decay;
            return wrong("a weight decay", format!("of {decay}; it must be a number, 0 or more"));
        }
        if let Some(clip) = self.max_grad_norm.filter(|&clip| !(clip > 0.0 && clip.is_finite())) {
            let why = format!("clipped to a norm of {clip}; it must be a number above 0");
            return wrong("gradients", why);
        }
        Ok(())
    }
}
