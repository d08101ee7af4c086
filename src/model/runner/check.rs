//! A step under the loupe: timed, or compared with the references, dispatch by dispatch.

use super::{Runner, Want};
use crate::Result;
use crate::gpu::{Divergence, Place, first_divergence};

impl Runner {
    /// Runs the step of `ids` once more with a timestamp around each dispatch: label, kernel and seconds of each.
    ///
    /// # Errors
    /// When the context is full, an id is unknown, or the device fails.
    pub fn profile(&mut self, ids: &[u32], want: Want) -> Result<Vec<(String, &'static str, f64)>> {
        self.run(ids, want)?;
        self.rewind(self.position - ids.len());
        let (step, position) = (self.step.clone(), self.position as u32);
        self.write_words(&step, &[position]);
        let place = self.place.clone();
        let step = self.step(ids.len(), want)?;
        let (Place::Device(gpu), Some(program)) = (&place, &step.program) else { return Ok(vec![]) };
        let seconds = program.profile(gpu)?;
        let entries = step.recording.entries().iter().zip(seconds);
        Ok(entries.map(|(entry, seconds)| (entry.label.clone(), entry.kernel.name(), seconds)).collect())
    }

    /// Runs the step of `ids` dispatch by dispatch on the device and through the references.
    ///
    /// # Errors
    /// When the context is full, an id is unknown, or the device fails.
    pub fn check(&mut self, ids: &[u32]) -> Result<Option<Divergence>> {
        self.check_ids(ids)?;
        self.reserve(ids.len())?;
        let act = self.activations(ids.len())?;
        self.write_words(&act.ids, ids);
        let (step, position) = (self.step.clone(), self.position as u32);
        self.write_words(&step, &[position]);
        let place = self.place.clone();
        let Place::Device(gpu) = &place else { return Ok(None) };
        let recording = self.recording(ids.len(), Want::Last)?;
        let divergence = first_divergence(gpu, &recording, &mut self.host)?;
        self.position += ids.len();
        Ok(divergence)
    }
}
