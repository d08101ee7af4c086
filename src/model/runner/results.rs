//! What a step leaves: logits and choices, brought to the host.

use super::{LogitsMode, Runner};
use crate::{Error, Result};

/// Tokens computed in a step when all logits are wanted, which take far more memory.
const CHUNK_ALL: usize = 32;

impl Runner {
    /// The logits `[V]` after the last step that wanted any.
    ///
    /// # Errors
    /// When the device fails.
    pub fn last_logits(&mut self) -> Result<Vec<f32>> {
        self.meter.count_readback(self.io.logits.data_bytes());
        let mut values = self.memory.read(&self.io.logits)?;
        values.truncate(self.model.config.vocab_size);
        Ok(values)
    }

    /// The greedy choice after the last step: four bytes from the device.
    ///
    /// # Errors
    /// When the device fails.
    pub fn greedy(&mut self) -> Result<u32> {
        self.meter.count_readback(self.io.chosen.data_bytes());
        let id = self.memory.read_word(&self.io.chosen)?;
        self.check_choice(id)
    }

    /// The choice among logits of which none is a number lies outside the vocabulary.
    pub(super) fn check_choice(&self, id: u32) -> Result<u32> {
        if (id as usize) < self.model.config.vocab_size {
            return Ok(id);
        }
        Err(Error::NotFinite(
            "the logits are not numbers: the model file is damaged, or a kernel is wrong on this \
             adapter"
                .into(),
        ))
    }

    /// Bytes on a device that [`Runner::all_logits`] takes: for steps of so many tokens and for one
    /// of fewer.
    pub fn all_logits_bytes(vocabulary: usize) -> u64 {
        (2 * 4 * CHUNK_ALL * vocabulary.next_multiple_of(4)) as u64
    }

    /// Logits of every token of `ids` [T * V], the conversation beginning anew.
    ///
    /// # Errors
    /// When the context is too short, an id is unknown, or the device fails.
    pub fn all_logits(
        &mut self,
        ids: &[u32],
        mut each: impl FnMut(usize, &[f32]) -> Result<()>,
    ) -> Result<()> {
        self.check_ids(ids)?;
        self.rewind(0);
        self.ensure_capacity(ids.len())?;
        let vocabulary = self.model.config.vocab_size;
        let most = self.chunk().min(CHUNK_ALL);
        for (index, chunk) in ids.chunks(most).enumerate() {
            self.run_step(chunk, LogitsMode::All)?;
            let logits = self.step(chunk.len(), LogitsMode::All)?.logits.clone();
            self.meter.count_readback(logits.bytes());
            let values = self.memory.read(&logits)?;
            for (token, row) in values.chunks(logits.dim(1)).enumerate() {
                each(index * most + token, &row[..vocabulary])?;
            }
        }
        Ok(())
    }
}
