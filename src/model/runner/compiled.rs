//! A step's recording and what the device runs of it.

use super::Runner;
use crate::Result;
use crate::gpu::{Place, Program, Recording};
use std::sync::Arc;

/// A recording, compiled where there is a device.
pub(super) struct Compiled {
    pub recording: Recording,
    pub program: Option<Program>,
}

impl Compiled {
    /// Compiles for `place`.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn new(place: &Place, recording: Recording) -> Result<Arc<Self>> {
        let program = match place {
            Place::Device(gpu) => Some(Program::compile(gpu, &recording)?),
            Place::Host => None,
        };
        Ok(Arc::new(Self { recording, program }))
    }
}

impl Runner {
    /// Runs a step of `tokens` tokens, whose words are written, without waiting for it.
    pub(super) fn advance(&mut self, tokens: usize, step: &Compiled) {
        match (&self.place, &step.program) {
            (Place::Device(gpu), Some(program)) => program.run(gpu),
            _ => step.recording.run_reference(&mut self.host),
        }
        self.advanced(tokens, step);
    }

    /// Counts a step that was run.
    pub(super) fn advanced(&mut self, tokens: usize, step: &Compiled) {
        self.count(tokens, step.recording.entries().len(), 0);
        self.position += tokens;
    }
}
