//! Steps of one token, several in a submission.

use super::compiled::Target;
use super::{LogitsMode, MOST_STEPS, Runner};
use crate::Result;
use crate::gpu::{Device, Executor, Ran};
use std::sync::Arc;

impl Runner {
    /// Computes the step of one token and leaves its logits and greedy choice on the device.
    ///
    /// # Errors
    /// When the context is full, the id is unknown, or the device fails.
    pub fn feed(&mut self, id: u32) -> Result<()> {
        self.check_ids(&[id])?;
        self.run(&[id], LogitsMode::Last)
    }

    /// Computes `steps` greedy steps in one submission, each feeding its choice to the next on the
    /// device; the first reads the last choice. Gives the choices.
    ///
    /// # Errors
    /// When the context is full or the device fails.
    pub fn decode_greedy(&mut self, steps: usize) -> Result<Vec<u32>> {
        let steps = steps.min(MOST_STEPS).min(self.context - self.position).max(1);
        self.reserve(steps)?;
        self.written = self.written.max(self.position + steps);
        let compiled = Arc::clone(&self.step(1, LogitsMode::Last)?.compiled);
        if let (Target::Executor(executor), None) = (&compiled.target, &self.profile) {
            let (step, position) = (self.step.clone(), self.position as u32);
            self.write_words(&step, &[position]);
            return self.repeat(executor, steps);
        }
        let mut choices = vec![];
        for _ in 0..steps {
            let id = self.greedy()?;
            self.run(&[id], LogitsMode::Last)?;
            choices.push(self.greedy()?);
        }
        Ok(choices)
    }

    /// Runs `steps` steps of one token, whose words are written, and gives their choices.
    pub(super) fn repeat(&mut self, executor: &Executor, steps: usize) -> Result<Vec<u32>> {
        let device = self.device.clone();
        let Device::Gpu(gpu) = &device else { return Ok(vec![]) };
        let ran = executor.run(gpu, steps)?;
        self.ran(steps, &ran)
    }

    /// Counts `steps` steps of one token that an executor ran, and gives the choices it read back.
    pub(super) fn ran(&mut self, steps: usize, ran: &Ran) -> Result<Vec<u32>> {
        self.count(steps, ran.dispatches, ran.readback_bytes);
        self.counters.submits += ran.submissions as u64 - 1;
        self.position += steps;
        ran.results.iter().map(|words| self.check_choice(words[0])).collect()
    }
}
