//! What a model thinks of a text: the likelihood of each token, worked out beside the logits.

use super::Runner;
use super::compiled::Compiled;
use super::step_cache::StepCache;
use crate::gpu::{Device, Element, Tensor};
use crate::kernels::TokenLogProb;
use crate::model::config::Config;
use crate::model::state::CHUNK;
use crate::{Error, Result};
use std::sync::Arc;

/// Room for logits, bytes: enough for dozens of tokens of any vocabulary, and below every limit on
/// bindings.
const LOGITS_BYTES: usize = 32 << 20;

/// What a model thought of one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// ln Σ exp(logit) over the vocabulary.
    pub logsumexp: f32,
    /// The logit of the token that followed.
    pub logit: f32,
    /// The token with the largest logit.
    pub best: u32,
}

impl Score {
    /// Negative log likelihood of the token that followed, nats.
    pub fn nll(&self) -> f64 {
        f64::from(self.logsumexp) - f64::from(self.logit)
    }
}

/// A runner that scores texts instead of continuing them.
pub struct Scorer {
    runner: Runner,
    /// By tokens.
    steps: StepCache<usize, Arc<Compiled>>,
    /// Tokens a step at most.
    rows: usize,
    /// Tokens of the vocabulary that there are to choose among.
    count: usize,
    targets: Tensor,
    /// Logits of the latest step [rows, V].
    logits: Tensor,
    /// Scores of the latest step [rows, 4].
    scores: Tensor,
}

impl Scorer {
    /// Scores with `runner`, at most `rows` tokens at a time ([`Scorer::rows_for`]).
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn new(runner: Runner, rows: usize) -> Result<Self> {
        let count = runner.model.config.vocab_size;
        Self::over(runner, rows, count)
    }

    /// The same among the first `count` tokens, as if the model had no others.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub(in crate::model) fn over(mut runner: Runner, rows: usize, count: usize) -> Result<Self> {
        let (device, width) = (runner.memory.device.clone(), runner.io.logits.dim(1));
        let rows = rows.min(runner.chunk());
        runner.held_elsewhere = Self::bytes_for(&runner.model.config);
        Ok(Self {
            rows,
            count,
            targets: Tensor::uniform(&device, "targets", rows)?,
            logits: Tensor::zeros(&device, "logits to judge", &[rows, width], Element::F32)?,
            scores: Tensor::zeros(&device, "scores", &[rows, 4], Element::F32)?,
            runner,
            steps: StepCache::new(),
        })
    }

    /// Tokens a step may have so that the logits of `vocabulary` fit.
    pub fn rows_for(vocabulary: usize) -> usize {
        (LOGITS_BYTES / (4 * vocabulary)).clamp(1, CHUNK)
    }

    /// Bytes on a device that judging takes beside the runner, with as many rows as fit.
    pub fn bytes_for(config: &Config) -> u64 {
        // A token's logits, what follows it, its scores, and how far two models are apart on it.
        let row = 4 * config.vocab_size.next_multiple_of(4) + 4 + 16 + 16;
        (Self::rows_for(config.vocab_size) * row) as u64
    }

    /// The runner, to rewind it or to ask it what it counts.
    pub fn runner(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// Where it computes.
    pub(in crate::model) fn device(&self) -> &Device {
        &self.runner.memory.device
    }

    /// Tokens a step at most.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Logits and scores of the latest step [rows, V], [rows, 4].
    pub(in crate::model) fn latest(&self) -> (&Tensor, &Tensor) {
        (&self.logits, &self.scores)
    }

    /// The step of `tokens` tokens, which ends with the scores of what follows them.
    fn step(&mut self, tokens: usize) -> Result<Arc<Compiled>> {
        let Self { runner, steps, .. } = self;
        let activations = runner.activations(tokens)?;
        let compile = || {
            let mut pass = runner.pass(&activations, tokens);
            pass.layers();
            pass.logits(0..tokens, &self.logits);
            let score = TokenLogProb {
                logits: self.logits.clone(),
                count: self.count,
                targets: self.targets.clone(),
                scores: self.scores.clone(),
                tokens,
            };
            pass.push("token_log_prob", score);
            Compiled::new(&runner.memory.device, pass.finish())
        };
        steps.get(runner.sequence.cache.capacity, tokens, compile).map(|step| Arc::clone(step))
    }

    /// Reads `ids`, at most [`Scorer::rows`], and has each judged by what follows it, `targets`. The
    /// scores stay on the device.
    ///
    /// # Errors
    /// When the context is full, an id is unknown, or the device fails.
    pub(in crate::model) fn run(&mut self, ids: &[u32], targets: &[u32]) -> Result<()> {
        if ids.is_empty() || ids.len() > self.rows || ids.len() != targets.len() {
            let (ids, targets, rows) = (ids.len(), targets.len(), self.rows);
            return Err(Error::input(format!(
                "{ids} tokens with {targets} to follow cannot be scored in one step: 1 to {rows} \
                 of both can"
            )));
        }
        self.runner.check_ids(ids)?;
        self.runner.check_ids(targets)?;
        self.runner.write_inputs(ids)?;
        self.runner.memory.write(&self.targets, targets);
        let step = self.step(ids.len())?;
        self.runner.run(ids.len(), &step)
    }

    /// Scores of the first `tokens` tokens of the latest step.
    ///
    /// # Errors
    /// When the device fails, or the logits are not numbers.
    pub(in crate::model) fn read(&mut self, tokens: usize) -> Result<Vec<Score>> {
        let numbers = self.read_rows(&self.scores.clone())?;
        let scores = numbers.as_chunks::<4>().0.iter().take(tokens).map(|row| Score {
            logsumexp: row[0],
            logit: row[1],
            best: row[2] as u32,
        });
        let scores: Vec<_> = scores.collect();
        match scores.iter().all(|score| score.logsumexp.is_finite()) {
            true => Ok(scores),
            // An id beyond the vocabulary stands for "no choice", and has its error.
            false => self.runner.check_choice(u32::MAX).map(|_| scores),
        }
    }

    /// Rows of a tensor that a step wrote.
    pub(in crate::model) fn read_rows(&mut self, tensor: &Tensor) -> Result<Vec<f32>> {
        self.runner.meter.count_readback(tensor.data_bytes());
        self.runner.memory.read(tensor)
    }

    /// Begins anew and scores every token of `ids` after the first; `progress` is told how many are
    /// done.
    ///
    /// # Errors
    /// When the context is too short, an id is unknown, or the device fails.
    pub fn score(&mut self, ids: &[u32], mut progress: impl FnMut(usize)) -> Result<Vec<Score>> {
        self.runner.rewind(0);
        let mut scores = Vec::with_capacity(ids.len());
        let (inputs, targets) =
            (&ids[..ids.len().saturating_sub(1)], ids.get(1..).unwrap_or_default());
        for (inputs, targets) in inputs.chunks(self.rows).zip(targets.chunks(self.rows)) {
            self.run(inputs, targets)?;
            scores.extend(self.read(inputs.len())?);
            progress(scores.len());
        }
        Ok(scores)
    }
}
