//! A step looked at closely: timed, or compared with the references, dispatch by dispatch.

use super::memory::Memory;
use super::{LogitsMode, Runner};
use crate::gpu::{Device, Divergence, first_divergence};
use crate::model::profile::Timing;
use crate::{Error, Result};
use std::sync::Arc;

impl Runner {
    /// From now on steps are run with a timestamp around each dispatch, one at a time. Slower:
    /// dispatches cannot overlap.
    pub fn start_profile(&mut self) {
        self.meter.profile.get_or_insert_default();
    }

    /// The dispatches since [`Runner::start_profile`], in order, and an end to profiling. Empty
    /// without a device.
    pub fn take_profile(&mut self) -> Vec<Timing> {
        self.meter.profile.take().unwrap_or_default()
    }

    /// Runs the step of `ids`, whose words are written, and notes the time of each dispatch. Nothing
    /// where there is no device.
    pub(super) fn run_profiled(&mut self, ids: &[u32], mode: LogitsMode) -> Result<()> {
        let position = self.sequence.position();
        let step = self.step(ids.len(), mode)?;
        let compiled = Arc::clone(&step.compiled);
        let warm = std::mem::replace(&mut step.warm, true);
        let Some((gpu, program)) = compiled.plain()? else { return Ok(()) };
        // A driver compiles a kernel when it first runs, which is not the kernel's time.
        if !warm {
            program.run(gpu);
            gpu.wait()?;
            // The greedy choice may be one of the words that the step reads.
            self.write_inputs(ids)?;
        }
        let calls = compiled.recording.entries().iter();
        let timings = calls.zip(program.profile(gpu)?).map(|(entry, seconds)| Timing {
            tokens: ids.len(),
            label: entry.label.clone(),
            kernel: entry.kernel.name(),
            cost: entry.kernel.cost(position),
            seconds,
        });
        if let Some(profile) = &mut self.meter.profile {
            profile.extend(timings);
        }
        Ok(())
    }

    /// Runs the step of `ids` dispatch by dispatch on the device and through the references.
    ///
    /// # Errors
    /// When the context is full, an id is unknown, what is computed is no number, or the device
    /// fails.
    pub fn check(&mut self, ids: &[u32]) -> Result<Option<Divergence>> {
        self.check_ids(ids)?;
        for ids in ids.chunks(self.chunk()) {
            self.write_inputs(ids)?;
            let recording = self.recording(ids.len(), LogitsMode::Last)?;
            let Memory { device, host } = &mut self.memory;
            let Device::Gpu(gpu) = device else { return Ok(None) };
            let divergence = first_divergence(gpu, &recording, host)?;
            self.sequence.end_step(ids.len());
            match divergence {
                None => {}
                // No device is to blame for what comes out of its reference.
                Some(Divergence { label, kernel, operand, index, expected, .. })
                    if !expected.is_finite() =>
                {
                    return Err(Error::NotFinite(format!(
                        "{operand}[{index}] of {label} (kernel {kernel}) is {expected} by its reference, too: the weights are \
                         no numbers or too large, and not the device is wrong; fetch the model again"
                    )));
                }
                found => return Ok(found),
            }
        }
        Ok(None)
    }
}
