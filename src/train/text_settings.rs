//! The settings of `kaiwu train`: the shape of a small language model, and how it is trained.

use crate::model::unsupported_heads;
use crate::train::model::config::Shape;
use crate::train::optimisation::optimiser::OptimizerKind;
use crate::train::optimisation::schedule::Schedule;
use crate::train::settings::Settings;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// The configuration file, in JSON; missing fields have their defaults. `examples/train.json` is an
/// example.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TextSettings {
    /// Largest size of the tokenizer's vocabulary; with 256 each byte is a token.
    #[serde(alias = "vocabulary")]
    pub vocab_size: usize,
    /// Number of tokens in a sequence.
    pub context: usize,
    /// Number of layers.
    #[serde(alias = "layers")]
    pub n_layers: usize,
    /// Width of the residual stream.
    #[serde(alias = "width")]
    pub hidden_size: usize,
    /// Number of query heads.
    #[serde(alias = "heads")]
    pub n_heads: usize,
    /// Number of key and value heads; it divides the number of query heads.
    #[serde(alias = "key_heads")]
    pub n_kv_heads: usize,
    /// Width of the feed-forward blocks.
    #[serde(alias = "hidden")]
    pub intermediate_size: usize,
    /// Number of sequences in a forward pass.
    pub batch: usize,
    /// Number of forward passes in a step.
    pub accumulate: usize,
    /// Number of optimiser steps.
    pub steps: u64,
    /// Highest learning rate; a cosine reduces it to a tenth at the last step.
    #[serde(alias = "rate")]
    pub learning_rate: f64,
    /// Number of warm-up steps.
    pub warmup: u64,
    /// Weight decay of AdamW.
    pub weight_decay: f32,
    /// Largest norm of the gradient; 0 does not limit it.
    #[serde(alias = "clip")]
    pub max_grad_norm: f32,
    /// Fraction of the text, at its end, that is used for evaluation; 0 for none.
    pub validation: f64,
    /// Number of steps between two evaluations.
    #[serde(alias = "every")]
    pub eval_interval: u64,
    /// Determines the initial values and the order of sequences.
    pub seed: u64,
    /// Whether examples that are longer than the context are left out.
    pub skip_long: bool,
}

impl Default for TextSettings {
    fn default() -> Self {
        Self {
            vocab_size: 1024,
            context: 128,
            n_layers: 4,
            hidden_size: 128,
            n_heads: 4,
            n_kv_heads: 2,
            intermediate_size: 384,
            batch: 16,
            accumulate: 1,
            steps: 2000,
            learning_rate: 3e-3,
            warmup: 50,
            weight_decay: 0.1,
            max_grad_norm: 1.0,
            validation: 0.05,
            eval_interval: 50,
            seed: 1,
            skip_long: false,
        }
    }
}

impl TextSettings {
    /// A Llama with a vocabulary of this size: RMSNorm, rotary positions, SwiGLU, and one matrix
    /// for embedding and output.
    pub fn shape(&self, vocabulary: usize) -> Shape {
        Shape::llama(self, vocabulary)
    }

    /// Settings of the trainer, where the last `kept` positions of a sequence have targets.
    pub fn training(&self, kept: usize) -> Settings {
        let Self { batch, accumulate, learning_rate, warmup, seed, .. } = *self;
        let schedule =
            Schedule { learning_rate, warmup, cosine_until: Some(self.steps), floor: 0.1 };
        let method = OptimizerKind::Adamw(0.9, 0.95, 1e-8);
        let clip = (self.max_grad_norm > 0.0).then_some(self.max_grad_norm);
        let decay = self.weight_decay;
        Settings {
            batch,
            accumulate,
            loss_positions: kept,
            schedule,
            optimizer: method,
            weight_decay: decay,
            max_grad_norm: clip,
            seed,
        }
    }

    /// Refuses impossible settings. [`Shape::check`] and [`Settings::check`] check the rest.
    ///
    /// # Errors
    /// The message names the number that is wrong, and says what it must be.
    pub fn check(&self) -> Result<()> {
        let wrong = |name: &str, why: String| Err(Error::setting(name, why));
        if self.steps == 0 || self.eval_interval == 0 {
            let (steps, interval) = (self.steps, self.eval_interval);
            let why = format!("= {steps}, an evaluation every {interval}: both are 1 or more");
            return wrong("steps", why);
        }
        if !(0.0..=0.5).contains(&self.validation) {
            let why = format!("is {}; it must be from 0 to 0.5", self.validation);
            return wrong("validation", why);
        }
        if !(self.learning_rate > 0.0
            && self.learning_rate.is_finite()
            && self.weight_decay >= 0.0
            && self.max_grad_norm >= 0.0)
        {
            let why = "must be above 0, weight_decay and max_grad_norm 0 or more";
            return wrong("learning_rate", why.into());
        }
        if self.n_heads == 0 || !self.hidden_size.is_multiple_of(8 * self.n_heads) {
            let why = format!("{} is no multiple of 8 * {} heads", self.hidden_size, self.n_heads);
            return wrong("width", why);
        }
        if let Some(what) = unsupported_heads(self.n_heads, self.hidden_size / self.n_heads) {
            let why = format!("{} and {} heads: {what}", self.hidden_size, self.n_heads);
            return wrong("width", why);
        }
        self.shape(self.vocab_size).check()
    }
}
