//! Checkpoints: parameters, moments and whatever the caller wants to remember, in one safetensors file.

use super::trainer::Trainer;
use crate::{Error, Result};
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// Key of our words in the file's metadata.
const KEY: &str = "kaiwu";

/// What a checkpoint holds beside tensors.
#[derive(Debug, Serialize, serde::Deserialize)]
pub struct Checkpoint<T> {
    /// Steps done.
    pub step: u64,
    /// The caller's.
    pub state: T,
}

/// Writes f32 tensors as a safetensors file, whole or not at all.
///
/// # Errors
/// When the file cannot be written.
pub fn write_tensors(
    path: &Path,
    tensors: &[(String, Vec<usize>, Vec<f32>)],
    metadata: Option<HashMap<String, String>>,
) -> Result<()> {
    let failed = |error: safetensors::SafeTensorError| Error::format(path, error.to_string());
    let mut views = vec![];
    for (name, shape, values) in tensors {
        let view =
            TensorView::new(Dtype::F32, shape.clone(), bytemuck::cast_slice(values)).map_err(failed)?;
        views.push((name.as_str(), view));
    }
    let bytes = safetensors::serialize(views, metadata).map_err(failed)?;
    let temporary = path.with_extension("partial");
    fs::write(&temporary, bytes).map_err(Error::io("write", &temporary))?;
    fs::rename(&temporary, path).map_err(Error::io("write", path))
}

impl<T: Serialize + DeserializeOwned> Checkpoint<T> {
    /// Writes the trainer's tensors, and `state`.
    ///
    /// # Errors
    /// When the device or the file fails.
    pub fn write(path: &Path, trainer: &Trainer, state: T) -> Result<()> {
        let mut tensors = vec![];
        let sets = std::iter::once(&trainer.parameters).chain(&trainer.optimiser.moments);
        for (index, set) in sets.enumerate() {
            for (name, tensor) in set.iter() {
                let values = tensor.read_f32(trainer.gpu())?;
                tensors.push((format!("{index}.{name}"), tensor.shape().to_vec(), values));
            }
        }
        let step = trainer.done();
        let text = serde_json::to_string(&Self { step, state });
        let text = text.map_err(|error| Error::format(path, format!("JSON: {error}")))?;
        write_tensors(path, &tensors, Some(HashMap::from([(KEY.into(), text)])))
    }

    /// What the caller remembered, without the tensors.
    ///
    /// # Errors
    /// When the file cannot be read or is not one of ours.
    pub fn peek(path: &Path) -> Result<Self> {
        Self::parse(path, &fs::read(path).map_err(Error::io("read", path))?)
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let damaged = |what: String| Error::format(path, format!("not a checkpoint of Kaiwu: {what}"));
        let (_, metadata) = SafeTensors::read_metadata(bytes).map_err(|error| damaged(error.to_string()))?;
        let text = metadata.metadata().as_ref().and_then(|metadata| metadata.get(KEY));
        let text = text.ok_or_else(|| damaged("it has no word of its step".into()))?;
        serde_json::from_str(text).map_err(|error| damaged(error.to_string()))
    }

    /// Puts parameters, moments and step into a trainer of the same shape.
    ///
    /// # Errors
    /// When the file cannot be read, or belongs to another shape.
    pub fn read(path: &Path, trainer: &mut Trainer) -> Result<Self> {
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let checkpoint = Self::parse(path, &bytes)?;
        let damaged = |what: String| Error::format(path, what);
        let file = SafeTensors::deserialize(&bytes).map_err(|error| damaged(error.to_string()))?;
        let sets = std::iter::once(&trainer.parameters).chain(&trainer.optimiser.moments);
        for (index, set) in sets.enumerate() {
            let mut values = vec![];
            for (name, tensor) in set.iter() {
                let view = file.tensor(&format!("{index}.{name}"));
                let view = view.map_err(|error| damaged(format!("{name}: {error}")))?;
                if view.dtype() != Dtype::F32 || view.shape() != tensor.shape() {
                    let (found, wanted) = (view.shape(), tensor.shape());
                    return Err(damaged(format!("{name} is {found:?}, the run asked for has {wanted:?}")));
                }
                values.push(bytemuck::pod_collect_to_vec::<u8, f32>(view.data()));
            }
            set.write(trainer.gpu(), &values)?;
        }
        trainer.set_done(checkpoint.step);
        Ok(checkpoint)
    }
}
