//! Checkpoints: parameters, moments and the caller's state in one safetensors file.

use super::tensor_file::write_each;
use crate::format::Mapped;
use crate::train::trainer::Trainer;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::path::Path;

/// The key in the file's metadata under which the step and the caller's state are stored.
const KEY: &str = "kaiwu";

/// The content of a checkpoint in addition to its tensors.
#[derive(Debug, Serialize, serde::Deserialize)]
pub struct Checkpoint<T> {
    /// Number of steps that have been done.
    pub step: u64,
    /// The state that the caller needs to resume.
    pub state: T,
}

impl<T: Serialize + DeserializeOwned> Checkpoint<T> {
    /// Writes the trainer's tensors, its number of steps, and the caller's `state`.
    ///
    /// # Errors
    /// When a parameter is not finite, or the device or the file fails.
    pub fn write(path: &Path, trainer: &Trainer, state: T) -> Result<()> {
        let sets =
            std::iter::once(&trainer.parameters).chain(&trainer.optimiser.moments).enumerate();
        let named = sets
            .flat_map(|(index, set)| set.iter().map(move |(name, tensor)| (index, name, tensor)));
        let (names, tensors): (Vec<_>, Vec<_>) = named
            .map(|(index, name, tensor)| {
                ((format!("{index}.{name}"), tensor.shape().to_vec()), tensor)
            })
            .unzip();
        let step = trainer.done();
        let text = serde_json::to_string(&Self { step, state });
        let text = text.map_err(|error| Error::damaged(path, format!("JSON: {error}")))?;
        let words = Some(HashMap::from([(KEY.into(), text)]));
        let parameters = trainer.parameters.iter().count();
        write_each(path, names, words, |index| {
            let values = tensors[index].read_f32(trainer.gpu())?;
            // Moments may overflow without harm: their parameter then stops changing.
            match values.iter().find(|value| index < parameters && !value.is_finite()) {
                None => Ok(values.into()),
                Some(value) => Err(Error::Diverged {
                    what: format!("after step {step} a parameter is {value}"),
                    learning_rate: trainer.settings.schedule.learning_rate,
                }),
            }
        })
    }

    /// Reads the step and the caller's state, without the tensors.
    ///
    /// # Errors
    /// When the file cannot be read or is not a checkpoint of this program.
    pub fn peek(path: &Path) -> Result<Self> {
        Self::parse(path, Mapped::open(path, "a checkpoint is one")?.bytes())
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let damaged =
            |what: String| Error::damaged(path, format!("not a checkpoint of Kaiwu: {what}"));
        let (_, metadata) =
            SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let text = text.ok_or_else(|| damaged("it has no word of its step".into()))?;
        serde_json::from_str(text).map_err(|error| damaged(error.to_string()))
    }

    /// Restores parameters, moments and step of a trainer with the same shape.
    ///
    /// # Errors
    /// When the file cannot be read, or its tensors have other shapes.
    pub fn read(path: &Path, trainer: &mut Trainer) -> Result<Self> {
        let file = Mapped::open(path, "a checkpoint is one")?;
        let bytes = file.bytes();
        let checkpoint = Self::parse(path, bytes)?;
        let damaged = |what: String| Error::damaged(path, what);
        let file = SafeTensors::deserialize(bytes).map_err(|error| damaged(error.to_string()))?;
        let sets = std::iter::once(&trainer.parameters).chain(&trainer.optimiser.moments);
        for (index, set) in sets.enumerate() {
            for (name, tensor) in set.iter() {
                let view = file.tensor(&format!("{index}.{name}"));
                let view = view.map_err(|error| damaged(format!("{name}: {error}")))?;
                if view.dtype() != Dtype::F32 || view.shape() != tensor.shape() {
                    let (found, wanted) = (view.shape(), tensor.shape());
                    return Err(damaged(format!(
                        "{name} is {found:?}, the run asked for has {wanted:?}"
                    )));
                }
                // The last axis of every parameter is a multiple of four.
                tensor.write(trainer.gpu(), 0, view.data());
                trainer.gpu().flush()?;
            }
        }
        trainer.set_done(checkpoint.step);
        Ok(checkpoint)
    }
}
