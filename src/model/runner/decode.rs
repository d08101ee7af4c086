//! Steps of one token: several in a submission, and again where the workers of a chain missed each
//! other.

use super::compiled::Compiled;
use super::{LogitsMode, MOST_STEPS, Runner};
use crate::gpu::{Device, Gpu};
use crate::{Error, Result};
use std::sync::Arc;

/// When chains are left alone, because their workers missed each other, or waited for long: once in
/// a while that happens to any thread, and then it is for 8 steps; on a machine that has other work
/// it goes on, and each time is twice as long.
#[derive(Debug, Default)]
pub(super) struct ChainBackoff {
    /// Steps until chains are tried again.
    left: usize,
    /// How many these were the last time, less those that went well since.
    last: usize,
}

impl ChainBackoff {
    fn missed(&mut self) {
        self.last = (2 * self.last).clamp(8, 4096);
        self.left = self.last;
        log::info!(
            "threads of the adapter wait for each other in vain; {} tokens call by call",
            self.left
        );
    }

    fn went_well(&mut self, steps: usize, chained: bool) {
        self.left = self.left.saturating_sub(steps);
        if chained {
            self.last = self.last.saturating_sub(steps);
        }
    }
}

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
        let device = self.device.clone();
        let (Device::Gpu(gpu), None) = (&device, &self.profile) else {
            let mut choices = vec![];
            for _ in 0..steps {
                let id = self.greedy()?;
                self.run(&[id], LogitsMode::Last)?;
                choices.push(self.greedy()?);
            }
            return Ok(choices);
        };
        let (step, position) = (self.step.clone(), self.position as u32);
        self.write_words(&step, &[position]);
        let compiled = Arc::clone(&self.step(1, LogitsMode::Last)?.compiled);
        self.steps_of_one(gpu, &compiled, steps)
    }

    /// Runs `steps` steps of one token, whose words are written, and gives their choices.
    pub(super) fn steps_of_one(
        &mut self,
        gpu: &Gpu,
        compiled: &Compiled,
        steps: usize,
    ) -> Result<Vec<u32>> {
        let mut choices = Vec::with_capacity(steps);
        while choices.len() < steps {
            let program = match &compiled.program {
                Some(program) if self.backoff.left == 0 => program,
                _ => compiled.unchained(gpu)?,
            };
            let Some(readback) = &self.readback else {
                return Err(Error::Internal("the memory to decode with is missing"));
            };
            let left = steps - choices.len();
            let runs = program.run_and_read(gpu, left, &self.chosen, readback)?;
            let (done, chained) = (runs.after.len(), program.is_chained());
            self.count(done, left * program.dispatches(), left as u64 * self.chosen.data_bytes());
            self.position += done;
            let last = runs.after.last().unwrap_or(&runs.before)[0];
            for words in &runs.after {
                choices.push(self.check_choice(words[0])?);
            }
            if done == left {
                self.backoff.went_well(done, chained);
            } else {
                self.backoff.missed();
                let (step, chosen) = (self.step.clone(), self.chosen.clone());
                self.write_words(&step, &[self.position as u32]);
                self.write_words(&chosen, &[last]);
            }
        }
        Ok(choices)
    }
}
