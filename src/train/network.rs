//! What is trained: a network from scratch, a loaded one, or what LoRA adds to one that stands still.

use super::config::Shape;
use super::low_rank::{Adapter, LoraSettings};
use super::parameters::Parameters;
use crate::format::Source;
use crate::gpu::{Gpu, Place};
use crate::model::{Config, floats};
use crate::{Error, Result};
use std::sync::Arc;

/// A network on a device.
pub struct Network {
    /// Its shape.
    pub shape: Shape,
    /// Its weights.
    pub weights: Parameters,
    /// What is added to them, and trained in their place.
    pub adapter: Option<Adapter>,
}

impl Network {
    /// Weights drawn from `seed`.
    ///
    /// # Errors
    /// When the shape is impossible, or the device cannot hold it.
    pub fn random(gpu: &Arc<Gpu>, shape: &Shape, seed: u64) -> Result<Self> {
        let place = Place::Device(Arc::clone(gpu));
        let weights = Parameters::zeros(&place, shape)?;
        weights.write(gpu, &Parameters::start(shape, seed))?;
        Ok(Self { shape: shape.clone(), weights, adapter: None })
    }

    /// The weights of a model as f32, for sequences of `context` tokens. With `lora` they stand still, and the adapter's A is
    /// drawn from `seed`.
    ///
    /// # Errors
    /// When the model cannot be trained here, is damaged, or the device cannot hold it.
    pub fn loaded(
        gpu: &Arc<Gpu>,
        source: &Source,
        context: usize,
        lora: Option<&LoraSettings>,
        seed: u64,
    ) -> Result<Self> {
        let config = Config::from_source(source)?;
        let tied = config.tied.unwrap_or_else(|| source.opt_tensor("output.weight").is_none());
        let shape = Shape::of(&config, tied, context)?;
        shape.check()?;
        let place = Place::Device(Arc::clone(gpu));
        // Weights, and in full training their gradients, moments, and the next of weights and moments.
        let copies = if lora.is_some() { 1 } else { 7 };
        let bytes = 4 * copies * Parameters::count_of(&shape) as u64;
        gpu.refuse_beyond(0, bytes, "the weights and what trains them")?;
        let weights = Parameters::zeros(&place, &shape)?;
        floats(source, &config, |name, mut values| {
            let tensor = weights
                .find(name)
                .filter(|tensor| tensor.len() >= values.len())
                .ok_or_else(|| Error::Model(format!("{name} is not part of a model of this shape")))?;
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(source.path_error(format!("{name} holds {value}, which is no number")));
            }
            // Rows of the embedding come in fours.
            values.resize(tensor.len(), 0.0);
            tensor.write(gpu, 0, bytemuck::cast_slice(&values));
            gpu.flush()
        })?;
        source.release_all();
        let adapter = match lora {
            None => None,
            Some(settings) => {
                let adapter = Adapter::zeros(&place, &shape, settings)?;
                adapter.parameters.write(gpu, &Adapter::start(&shape, settings, seed))?;
                Some(adapter)
            }
        };
        Ok(Self { shape, weights, adapter })
    }

    /// What training changes.
    pub fn trained(&self) -> &Parameters {
        self.adapter.as_ref().map_or(&self.weights, |adapter| &adapter.parameters)
    }
}
