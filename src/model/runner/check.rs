//! A step under the loupe: timed, or compared with the references, dispatch by dispatch.

use super::{LogitsMode, Runner, Timing};
use crate::gpu::{Device, Divergence, first_divergence};
use crate::{Error, Result};
use std::sync::Arc;

impl Runner {
    /// From now on steps are run with a timestamp around each dispatch, one at a time. Slower:
    /// dispatches cannot overlap.
    pub fn start_profile(&mut self) {
        self.profile.get_or_insert_default();
    }

    /// The dispatches since [`Runner::start_profile`], in order, and an end to profiling. Empty
    /// without a device.
    pub fn take_profile(&mut self) -> Vec<Timing> {
        self.profile.take().unwrap_or_default()
    }

    /// Runs the step of `ids`, whose words are written, and notes the time of each dispatch.
    pub(super) fn run_profiled(&mut self, ids: &[u32], want: LogitsMode) -> Result<()> {
        let device = self.device.clone();
        let Device::Gpu(gpu) = &device else { return Ok(()) };
        let position = self.position;
        let step = self.step(ids.len(), want)?;
        let compiled = Arc::clone(&step.compiled);
        let warm = std::mem::replace(&mut step.warm, true);
        let Some(program) = compiled.plain(gpu)? else { return Ok(()) };
        // A driver compiles a kernel when it first runs, which is not the kernel's time.
        if !warm {
            program.run(gpu);
            gpu.wait()?;
            // The greedy choice may be one of the words that the step reads.
            self.place_step(ids)?;
        }
        let seconds = program.profile(gpu)?;
        let timings: Vec<_> = compiled
            .recording
            .entries()
            .iter()
            .zip(seconds)
            .map(|(entry, seconds)| Timing {
                tokens: ids.len(),
                label: entry.label.clone(),
                kernel: entry.kernel.name(),
                cost: entry.kernel.cost(position),
                seconds,
            })
            .collect();
        if let Some(profile) = &mut self.profile {
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
        let device = self.device.clone();
        for ids in ids.chunks(self.room.chunk) {
            self.place_step(ids)?;
            let Device::Gpu(gpu) = &device else { return Ok(None) };
            let recording = self.recording(ids.len(), LogitsMode::Last)?;
            let divergence = first_divergence(gpu, &recording, &mut self.host)?;
            self.position += ids.len();
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
