//! Steps of one token, several in a submission.

use super::compiled::Target;
use super::{LogitsMode, MOST_STEPS, Runner};
use crate::Result;
use crate::gpu::Ran;
use std::sync::Arc;

impl Runner {
    /// Computes the step of one token and leaves its logits and greedy choice on the device.
    ///
    /// # Errors
    /// When the context is full, the id is unknown, or the device fails.
    pub fn feed(&mut self, id: u32) -> Result<()> {
        self.check_ids(&[id])?;
        self.run_step(&[id], LogitsMode::Last)
    }

    /// Computes `steps` greedy steps in one submission, each feeding its choice to the next on the
    /// device; the first reads the last choice. Gives the choices.
    ///
    /// # Errors
    /// When the context is full or the device fails.
    pub fn decode_greedy(&mut self, steps: usize) -> Result<Vec<u32>> {
        let left = self.sequence.context() - self.sequence.position();
        let steps = steps.min(MOST_STEPS).min(left).max(1);
        self.ensure_capacity(steps)?;
        let compiled = Arc::clone(&self.step(1, LogitsMode::Last)?.compiled);
        if let (Target::Executor(gpu, executor), None) = (&compiled.target, &self.meter.profile) {
            self.sequence.begin_step(steps);
            self.memory.write(&self.io.position, &[self.sequence.position() as u32]);
            let ran = executor.run(gpu, steps)?;
            return self.end_steps(steps, &ran);
        }
        let mut choices = vec![];
        for _ in 0..steps {
            let id = self.greedy()?;
            self.run_step(&[id], LogitsMode::Last)?;
            choices.push(self.greedy()?);
        }
        Ok(choices)
    }

    /// Counts `steps` steps of one token that an executor ran, and gives the choices it read back.
    pub(super) fn end_steps(&mut self, steps: usize, ran: &Ran) -> Result<Vec<u32>> {
        self.meter.count_steps(steps, ran.dispatches, ran.submissions);
        self.meter.count_bytes(ran.readback_bytes);
        self.sequence.end_step(steps);
        ran.results.iter().map(|words| self.check_choice(words[0])).collect()
    }
}
