//! A step's recording and what runs it.

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
    Program(Arc<Gpu>, Program),
    /// The device, several steps of one token in a submission, with their choices read back.
    Executor(Arc<Gpu>, Box<Executor>),
}

impl Compiled {
    /// Compiles for `device`, for one run at a time.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn new(device: &Device, recording: Recording) -> Result<Arc<Self>> {
        let target = match device {
            Device::Gpu(gpu) => Target::Program(gpu.clone(), Program::compile(gpu, &recording)?),
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
            Device::Gpu(gpu) => {
                let executor = Executor::compile(gpu, &recording, state, most)?;
                Target::Executor(gpu.clone(), Box::new(executor))
            }
            Device::Reference => Target::Reference,
        };
        Ok(Arc::new(Self { recording, target }))
    }

    /// Dispatches of a run, or kernel calls where there is no device.
    pub fn dispatches(&self) -> usize {
        match &self.target {
            Target::Reference => self.recording.entries().len(),
            Target::Program(_, program) => program.dispatches(),
            Target::Executor(_, executor) => executor.dispatches(),
        }
    }

    /// Has a driver compile what it otherwise compiles at the first run.
    ///
    /// # Errors
    /// When the device fails.
    pub fn warm_up(&self) -> Result<()> {
        match &self.target {
            Target::Reference => Ok(()),
            Target::Program(gpu, program) => program.warm_up(gpu),
            Target::Executor(gpu, executor) => executor.warm_up(gpu),
        }
    }

    /// The program with a dispatch for each call, and its device; `None` where there is none.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn plain(&self) -> Result<Option<(&Gpu, &Program)>> {
        Ok(match &self.target {
            Target::Reference => None,
            Target::Program(gpu, program) => Some((gpu, program)),
            Target::Executor(gpu, executor) => Some((gpu, executor.plain(gpu)?)),
        })
    }
}
