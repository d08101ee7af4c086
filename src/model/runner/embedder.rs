//! Texts as vectors: the hidden states after the last norm, pooled.

use super::Runner;
use super::compiled::Compiled;
use super::step_cache::StepCache;
use crate::gpu::{Element, Tensor};
use crate::model::config::Config;
use crate::model::pooling::Pooling;
use crate::{Error, Result};
use std::sync::Arc;

/// Tokens computed at once.
const ROWS: usize = 64;

/// A runner that turns texts into vectors.
pub struct Embedder {
    runner: Runner,
    /// Hidden states of the latest step [ROWS, C].
    hidden: Tensor,
    /// By tokens.
    steps: StepCache<usize, Arc<Compiled>>,
}

impl Embedder {
    /// Computes with `runner`.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn new(mut runner: Runner) -> Result<Self> {
        runner.held_elsewhere = Self::bytes_for(&runner.model.config);
        // As wide as the stream: whole blocks.
        let width = runner.model.output_norm.gain.dim(0);
        let hidden =
            Tensor::zeros(&runner.memory.device, "hidden states", &[ROWS, width], Element::F32)?;
        Ok(Self { runner, hidden, steps: StepCache::new() })
    }

    /// Bytes on a device that it takes beside the runner.
    pub fn bytes_for(config: &Config) -> u64 {
        (4 * ROWS * config.hidden_size.next_multiple_of(32)) as u64
    }

    /// The step of `tokens` tokens, which ends with their hidden states.
    fn step(&mut self, tokens: usize) -> Result<Arc<Compiled>> {
        let Self { runner, hidden, steps } = self;
        let activations = runner.activations(tokens)?;
        let compile = || {
            let mut pass = runner.pass(&activations, tokens);
            pass.layers();
            pass.hidden_states(hidden);
            Compiled::new(&runner.memory.device, pass.finish())
        };
        steps.get(runner.sequence.cache.capacity, tokens, compile).map(|step| Arc::clone(step))
    }

    /// The vector `[C]` of a text's tokens, of length 1.
    ///
    /// # Errors
    /// When there are no tokens or too many, an id is unknown, or the device fails.
    pub fn embed(&mut self, ids: &[u32], pooling: Pooling) -> Result<Vec<f32>> {
        if ids.is_empty() {
            return Err(Error::input("a text without tokens has no vector"));
        }
        self.runner.check_ids(ids)?;
        self.runner.rewind(0);
        self.runner.fits(ids.len())?;
        let mut pooled = vec![0.0; self.runner.model.config.hidden_size];
        let mut position = 0;
        for ids in ids.chunks(ROWS.min(self.runner.chunk())) {
            let hidden = self.run(ids)?;
            for row in hidden.chunks(self.hidden.dim(1)).take(ids.len()) {
                pooling.add(&mut pooled, row, position);
                position += 1;
            }
        }
        let length = pooled.iter().map(|x| x * x).sum::<f64>().sqrt();
        if !length.is_finite() || length == 0.0 {
            return Err(Error::NotFinite(
                "the hidden states are not numbers: the model is damaged".into(),
            ));
        }
        Ok(pooled.into_iter().map(|x| (x / length) as f32).collect())
    }

    /// Hidden states of the next `ids`, at most [`ROWS`].
    fn run(&mut self, ids: &[u32]) -> Result<Vec<f32>> {
        self.runner.write_inputs(ids)?;
        let step = self.step(ids.len())?;
        self.runner.run(ids.len(), &step)?;
        self.runner.meter.count_readback(self.hidden.data_bytes());
        self.runner.memory.read(&self.hidden)
    }
}
