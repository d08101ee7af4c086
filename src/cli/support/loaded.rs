//! Loads a model for a command, with its progress on standard error.

use super::arguments::{DeviceArguments, LoadingArguments, WeightsArguments};
use super::progress::Progress;
use crate::Result;
use crate::format::{Lora, Quantization, Source};
use crate::gpu::Device;
use crate::model::Weights;
use crate::session::{Loading, LoadingStage, Model, ModelFile, ModelOptions, load_weights};
use std::path::Path;
use std::sync::Arc;

/// Options for loading a model on `device`, for conversations of `context` tokens, or of the
/// model's own context if that is not given.
pub(in crate::cli) fn options(
    loading: &LoadingArguments,
    device: &DeviceArguments,
    context: Option<u32>,
) -> ModelOptions {
    let mut options = Model::options().gpu(device.options()).cache(loading.cache.cache);
    if let Some(tokens) = context {
        options = options.context(tokens as usize);
    }
    if let Some(quantization) = loading.quantize {
        options = options.quantize(quantization);
    }
    for (path, scale) in &loading.lora {
        options = options.lora(path, *scale);
    }
    options.on_progress(bars())
}

/// Opens a model's file or folder, so that errors of the command line are reported early.
pub(in crate::cli) fn open(weights: &WeightsArguments, options: ModelOptions) -> Result<ModelFile> {
    open_at(&weights.model.path()?, options.ignoring(weights.model.ignoring.ignored()))
}

/// Opens the model at `path`, and prints its notices.
pub(in crate::cli) fn open_at(path: &Path, options: ModelOptions) -> Result<ModelFile> {
    let file = options.open(path)?;
    for notice in file.notices() {
        eprintln!("kaiwu: {}: {notice}", path.display());
    }
    Ok(file)
}

/// Progress bars for the stages of loading.
pub(in crate::cli) fn bars() -> impl FnMut(Loading) + Send + 'static {
    let mut shown: Option<(LoadingStage, Progress)> = None;
    move |Loading { stage, done, total, .. }| {
        if shown.as_ref().is_none_or(|(busy_with, _)| *busy_with != stage) {
            let name = match stage {
                LoadingStage::Quantizing => "quantising",
                LoadingStage::Uploading => "loading",
            };
            shown = Some((stage, Progress::bytes(name, total)));
        }
        if let Some((_, bar)) = &mut shown {
            bar.set(done);
        }
    }
}

/// Uploads the weights and adapters to `device` with a progress bar.
pub(in crate::cli) fn load(
    device: &Device,
    source: &Source,
    quantization: Option<Quantization>,
    adapters: &[(Lora, f32)],
) -> Result<Arc<Weights>> {
    load_weights(device, source, quantization, adapters, &mut bars())
}
