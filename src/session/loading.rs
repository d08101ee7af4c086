//! Loading weights onto a device, and its progress.

use crate::Result;
use crate::format::{Lora, Quantization, Source};
use crate::gpu::Device;
use crate::model::{Extent, PendingUpload, Weights};
use std::sync::Arc;

/// The stage of loading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadingStage {
    /// Matrices are converted to another type.
    Quantizing,
    /// Weights are packed and uploaded to the device.
    Uploading,
}

/// The progress of loading a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loading {
    /// The current stage.
    pub stage: LoadingStage,
    /// Bytes of the files that are done in this stage.
    pub done: u64,
    /// Bytes of all tensors.
    pub total: u64,
}

/// Weights that are allocated on a device but not uploaded yet.
pub(super) struct Reserved {
    pub weights: Arc<Weights>,
    source: Source,
    pending: PendingUpload,
}

impl Reserved {
    /// Allocates the weights of `source` and of adapters.
    pub(super) fn new(
        device: &Device,
        source: &Source,
        extent: Extent,
        quantization: Option<Quantization>,
        adapters: &[(Lora, f32)],
        progress: &mut dyn FnMut(Loading),
    ) -> Result<Self> {
        let total = bytes(source);
        let quantizing = |done| {
            progress(Loading { stage: LoadingStage::Quantizing, done: total.min(done), total })
        };
        let (mut weights, pending) =
            Weights::reserve(device, source, extent, quantization, quantizing)?;
        weights.adapt(device, adapters)?;
        Ok(Self { weights: Arc::new(weights), source: source.clone(), pending })
    }

    /// Packs the weights and uploads them. Compilers first release the memory that they can.
    pub(super) fn fill(
        self,
        device: &Device,
        progress: &mut dyn FnMut(Loading),
    ) -> Result<Arc<Weights>> {
        let total = bytes(&self.source);
        // A tensor that is used twice is read twice.
        let uploading = |done| {
            progress(Loading { stage: LoadingStage::Uploading, done: total.min(done), total })
        };
        self.pending.fill(device, uploading)?;
        if let Device::Gpu(gpu) = device {
            gpu.wait()?;
        }
        Ok(self.weights)
    }
}

/// Loads all weights of `source` and of adapters onto `device`. It does not check whether they fit.
///
/// # Errors
/// When the model or an adapter is damaged or not supported, or the device fails.
pub fn load_weights(
    device: &Device,
    source: &Source,
    quantization: Option<Quantization>,
    adapters: &[(Lora, f32)],
    progress: &mut dyn FnMut(Loading),
) -> Result<Arc<Weights>> {
    Reserved::new(device, source, Extent::Whole, quantization, adapters, progress)?
        .fill(device, progress)
}

/// Bytes of all tensors in the files.
fn bytes(source: &Source) -> u64 {
    source.tensors().iter().map(|tensor| tensor.bytes).sum()
}
