//! Compares the predictions of two models on one text.

use super::runner::{Runner, Score, Scorer};
use crate::gpu::{Device, Element, Program, Recording, Tensor};
use crate::kernels::Divergence;
use crate::{Error, Result};
use std::collections::HashMap;

/// The predictions of two models for one token.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct KlDivergence {
    /// The first model's score.
    pub a: Score,
    /// The second model's score.
    pub b: Score,
    /// Kullback-Leibler divergence of the second model's distribution from the first's, in nats.
    pub divergence: f32,
}

/// Two models on one device, evaluated on the same tokens.
pub struct ModelComparison {
    a: Scorer,
    b: Scorer,
    /// Compiled comparisons, by number of tokens.
    programs: HashMap<usize, Program>,
    count: usize,
    y: Tensor,
}

impl ModelComparison {
    /// Compares the models of two runners on one device, over the token ids that both have: one
    /// vocabulary may be padded further than the other.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn new(a: Runner, b: Runner) -> Result<Self> {
        let [count, other] = [&a, &b].map(|runner| runner.model().config.vocab_size);
        let (count, rows) = (count.min(other), Scorer::rows_for(count.max(other)));
        let (a, b) = (Scorer::over(a, rows, count)?, Scorer::over(b, rows, count)?);
        let y = Tensor::zeros(a.device(), "divergence", &[rows, 4], Element::F32)?;
        Ok(Self { a, b, programs: HashMap::new(), count, y })
    }

    fn run(&mut self, tokens: usize) -> Result<()> {
        let Device::Gpu(gpu) = self.a.device() else {
            let message = "models are compared on a device only".into();
            return Err(Error::Unsupported { path: None, message, remedy: None });
        };
        if !self.programs.contains_key(&tokens) {
            let ((logits_a, scores_a), (logits_b, scores_b)) = (self.a.latest(), self.b.latest());
            let mut recording = Recording::default();
            let kernel = Divergence {
                logits_a: logits_a.clone(),
                logits_b: logits_b.clone(),
                scores_a: scores_a.clone(),
                scores_b: scores_b.clone(),
                count: self.count,
                y: self.y.clone(),
                tokens,
            };
            recording.push("divergence", kernel);
            self.programs.insert(tokens, Program::compile(gpu, &recording)?);
        }
        self.programs.get(&tokens).into_iter().for_each(|program| program.run(gpu));
        Ok(())
    }

    /// Clears both contexts and scores every token of `ids` after the first with both models;
    /// `progress` is told how many tokens are done.
    ///
    /// # Errors
    /// When a context is too short, an id is unknown, or the device fails.
    pub fn compare(
        &mut self,
        ids: &[u32],
        mut progress: impl FnMut(usize),
    ) -> Result<Vec<KlDivergence>> {
        self.a.runner().rewind(0);
        self.b.runner().rewind(0);
        let rows = self.a.rows();
        let mut all = Vec::with_capacity(ids.len());
        let (inputs, targets) =
            (&ids[..ids.len().saturating_sub(1)], ids.get(1..).unwrap_or_default());
        for (inputs, targets) in inputs.chunks(rows).zip(targets.chunks(rows)) {
            let tokens = inputs.len();
            self.a.run(inputs, targets)?;
            self.b.run(inputs, targets)?;
            self.run(tokens)?;
            let (a, b) = (self.a.read(tokens)?, self.b.read(tokens)?);
            let divergence = self.a.read_rows(&self.y)?;
            let scores = a.into_iter().zip(b).zip(divergence.as_chunks::<4>().0);
            all.extend(scores.map(|((a, b), y)| KlDivergence { a, b, divergence: y[0] }));
            progress(all.len());
        }
        Ok(all)
    }
}
