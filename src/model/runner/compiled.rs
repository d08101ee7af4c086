//! A step's recording and what the device runs of it.

use super::Runner;
use crate::Result;
use crate::gpu::{Device, Gpu, Program, Recording};
use std::sync::{Arc, OnceLock};

/// A recording, compiled where there is a device.
pub(super) struct Compiled {
    pub recording: Recording,
    pub program: Option<Program>,
    /// The same without chains, once it was needed.
    unchained: OnceLock<Program>,
}

impl Compiled {
    /// Compiles for `device`. With `fused`, blocks of calls may be one dispatch, whose failure
    /// whoever runs the step looks for.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn new(device: &Device, recording: Recording, fused: bool) -> Result<Arc<Self>> {
        let program = match device {
            Device::Gpu(gpu) if fused => Some(Program::compile_fused(gpu, &recording)?),
            Device::Gpu(gpu) => Some(Program::compile(gpu, &recording)?),
            Device::Reference => None,
        };
        Ok(Arc::new(Self { recording, program, unchained: OnceLock::new() }))
    }

    /// The program, each call a dispatch of its own.
    ///
    /// # Errors
    /// A kernel that does not compile, by name.
    pub fn unchained(&self, gpu: &Gpu) -> Result<&Program> {
        match &self.program {
            Some(program) if !program.is_chained() => Ok(program),
            _ => {
                if self.unchained.get().is_none() {
                    // Whoever was faster made the same.
                    let _ = self.unchained.set(Program::compile(gpu, &self.recording)?);
                }
                Ok(self.unchained.wait())
            }
        }
    }
}

impl Runner {
    /// Runs a step of `tokens` tokens, whose words are written and that has no chains, without
    /// waiting for it.
    pub(super) fn advance(&mut self, tokens: usize, step: &Compiled) {
        match (&self.device, &step.program) {
            (Device::Gpu(gpu), Some(program)) => program.run(gpu),
            _ => step.recording.run_reference(&mut self.host),
        }
        self.advanced(tokens, step);
    }

    /// Counts a step that was run call by call.
    pub(super) fn advanced(&mut self, tokens: usize, step: &Compiled) {
        self.count(tokens, step.recording.entries().len(), 0);
        self.position += tokens;
    }
}
