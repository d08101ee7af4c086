//! Bringing weights to a device, and how far that is.

use crate::Result;
use crate::format::{Lora, Quantization, Source};
use crate::gpu::Device;
use crate::model::{Extent, PendingUpload, Weights};
use std::sync::Arc;

/// What loading is busy with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoadingStage {
    /// Matrices are turned into another type.
    Quantizing,
    /// Weights are packed and sent to the device.
    Uploading,
}

/// How far loading is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Loading {
    /// What is being done.
    pub stage: LoadingStage,
    /// Bytes of the files that are done.
    pub done: u64,
    /// Bytes of all tensors.
    pub total: u64,
}

/// Weights that have room at `device`, and are not there yet.
pub(super) struct Reserved {
    pub weights: Arc<Weights>,
    source: Source,
    pending: PendingUpload,
}

impl Reserved {
    /// Makes room for the weights of `source`, and what adapters add.
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

    /// Packs the weights and sends them; compilers give back what memory they can first.
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

/// Brings all weights of `source` to `device`, and what adapters add; whether there is room is for
/// the caller to check.
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

/// Bytes of all tensors.
fn bytes(source: &Source) -> u64 {
    source.tensors().iter().map(|tensor| tensor.bytes).sum()
}
