//! A step's recording and what the device runs of it.

use super::Runner;
use crate::Result;
use crate::gpu::{Device, Executor, Gpu, Program, Recording, Tensor};
use std::sync::Arc;

/// A recording, and what runs it.
pub(super) struct Compiled {
    pub recording: Recording,
    pub target: Target,
}

/// What runs a step.
pub(super) enum Target {
    /// Each kernel's plain loops.
    Reference,
    /// The device, which is not waited for.
    Program(Program),
    /// The device, several steps of one token in a submission, with their choices read back.
    Executor(Executor),
}

impl Compiled {
    /// Compiles for `device`, for one run at a time.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn new(device: &Device, recording: Recording) -> Result<Arc<Self>> {
        let target = match device {
            Device::Gpu(gpu) => Target::Program(Program::compile(gpu, &recording)?),
            Device::Reference => Target::Reference,
        };
        Ok(Arc::new(Self { recording, target }))
    }

    /// Compiles a step that feeds itself through the tensors `state`, the result first, for up to
    /// `most` runs in a submission.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn repeated(
        device: &Device,
        recording: Recording,
        state: &[Tensor],
        most: usize,
    ) -> Result<Arc<Self>> {
        let target = match device {
            Device::Gpu(gpu) => Target::Executor(Executor::compile(gpu, &recording, state, most)?),
            Device::Reference => Target::Reference,
        };
        Ok(Arc::new(Self { recording, target }))
    }

    /// Dispatches of a run, or kernel calls where there is no device.
    pub fn dispatches(&self) -> usize {
        match &self.target {
            Target::Reference => self.recording.entries().len(),
            Target::Program(program) => program.dispatches(),
            Target::Executor(executor) => executor.dispatches(),
        }
    }

    /// Has a driver compile what it otherwise compiles at the first run.
    ///
    /// # Errors
    /// When the device fails.
    pub fn warm_up(&self, gpu: &Gpu) -> Result<()> {
        match &self.target {
            Target::Reference => Ok(()),
            Target::Program(program) => program.warm_up(gpu),
            Target::Executor(executor) => executor.warm_up(gpu),
        }
    }

    /// The program with a dispatch for each call; `None` where there is no device.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn plain(&self, gpu: &Gpu) -> Result<Option<&Program>> {
        Ok(match &self.target {
            Target::Reference => None,
            Target::Program(program) => Some(program),
            Target::Executor(executor) => Some(executor.plain(gpu)?),
        })
    }
}

impl Runner {
    /// Runs a step of `tokens` tokens, whose words are written. A program is not waited for.
    ///
    /// # Errors
    /// When the device fails, or a choice is no token.
    pub(super) fn advance(&mut self, tokens: usize, step: &Compiled) -> Result<()> {
        match (&self.device, &step.target) {
            (Device::Gpu(gpu), Target::Program(program)) => program.run(gpu),
            (Device::Gpu(gpu), Target::Executor(executor)) => {
                let ran = executor.run_one(gpu)?;
                return self.ran(1, &ran).map(|_| ());
            }
            _ => step.recording.run_reference(&mut self.host),
        }
        self.advanced(tokens, step);
        Ok(())
    }

    /// Counts a step that was run call by call.
    pub(super) fn advanced(&mut self, tokens: usize, step: &Compiled) {
        self.count(tokens, step.recording.entries().len(), 0);
        self.position += tokens;
    }
}
