//! A network to be trained: from scratch, loaded from a model, or frozen with a LoRA adapter.

use super::config::Shape;
use super::low_rank::{Adapter, LoraSettings};
use super::parameters::Parameters;
use crate::Result;
use crate::format::Source;
use crate::gpu::{Device, Gpu};
use crate::model::{Config, floats};
use std::sync::Arc;

/// A network on a device.
pub struct Network {
    /// Shape of the transformer.
    pub shape: Shape,
    /// Weights of the network, which are frozen if there is an adapter.
    pub weights: Parameters,
    /// A LoRA adapter that is trained instead of the weights, if there is one.
    pub adapter: Option<Adapter>,
}

impl Network {
    /// A network of `shape`, with an adapter if `lora` is given; all weights are zero.
    ///
    /// # Errors
    /// When the shape is impossible, or the device cannot hold it.
    pub fn zeros(device: &Device, shape: &Shape, lora: Option<&LoraSettings>) -> Result<Self> {
        let weights = Parameters::zeros(device, shape)?;
        let adapter = lora.map(|settings| Adapter::zeros(device, shape, settings)).transpose()?;
        Ok(Self { shape: shape.clone(), weights, adapter })
    }

    /// The trainable shape of the model in `source`, for sequences of `context` tokens.
    ///
    /// # Errors
    /// When training does not support the model.
    pub fn shape_of(source: &Source, context: usize) -> Result<Shape> {
        let config = Config::from_source(source)?;
        let tied = config.tied.unwrap_or_else(|| source.opt_tensor("output.weight").is_none());
        let shape = Shape::of(&config, tied, context)?;
        shape.check()?;
        Ok(shape)
    }

    /// A network whose weights are drawn from `seed`.
    ///
    /// # Errors
    /// When the shape is impossible, or the device cannot hold it.
    pub fn random(gpu: &Arc<Gpu>, shape: &Shape, seed: u64) -> Result<Self> {
        let device = Device::Gpu(Arc::clone(gpu));
        let network = Self::zeros(&device, shape, None)?;
        network.weights.write(gpu, &Parameters::start(shape, seed))?;
        Ok(network)
    }

    /// The weights of a model as f32, for sequences of `context` tokens. With `lora` they are
    /// frozen, and the adapter's A is drawn from `seed`.
    ///
    /// # Errors
    /// When training does not support the model, it is damaged, or the device cannot hold it.
    pub fn loaded(
        gpu: &Arc<Gpu>,
        source: &Source,
        context: usize,
        lora: Option<&LoraSettings>,
        seed: u64,
    ) -> Result<Self> {
        let config = Config::from_source(source)?;
        let network =
            Self::zeros(&Device::Gpu(Arc::clone(gpu)), &Self::shape_of(source, context)?, lora)?;
        floats(source, &config, |name, mut values| {
            let tensor = network
                .weights
                .find(name)
                .filter(|tensor| tensor.len() >= values.len())
                .ok_or_else(|| {
                source.path_error(format!("{name} is not part of a model of this shape"))
            })?;
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(source.path_error(format!("{name} holds {value}, which is no number")));
            }
            // The embedding table is padded to a multiple of four rows.
            values.resize(tensor.len(), 0.0);
            tensor.write(gpu, 0, bytemuck::cast_slice(&values));
            gpu.flush()
        })?;
        source.release_all();
        if let Some(adapter) = &network.adapter {
            adapter
                .parameters
                .write(gpu, &Adapter::start(&network.shape, &adapter.settings, seed))?;
        }
        Ok(network)
    }

    /// The parameters that training changes: the adapter's, or else all weights.
    pub fn trained(&self) -> &Parameters {
        self.adapter.as_ref().map_or(&self.weights, |adapter| &adapter.parameters)
    }
}
