//! What most commands begin with: a model's file or folder, its tokenizer, a device, and the weights on it.

use super::arguments::{DeviceArguments, WeightsArguments};
use super::progress::Progress;
use crate::format::{Lora, Quantization, Source};
use crate::gpu::{Gpu, Place};
use crate::model::{Config, Model, Runner};
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Error, Result};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

/// A model's file or folder, opened but not loaded: what is wrong with a command line should show now.
pub(super) struct Opened {
    pub path: PathBuf,
    pub source: Source,
    pub config: Config,
    pub tokenizer: Arc<Tokenizer>,
    /// Most tokens of a conversation.
    pub context: usize,
    /// What the matrices become while loading.
    quantization: Option<Quantization>,
    /// What is added to the model, with its scale.
    adapters: Vec<(Lora, f32)>,
    since: Instant,
}

/// A model on a device, or on none.
pub(super) struct Loaded {
    pub file: Opened,
    pub place: Place,
    pub model: Arc<Model>,
    /// Seconds from opening the file to the last weight on the device.
    pub seconds: f64,
}

impl Opened {
    /// Opens a model for conversations of `context` tokens, the model's own number if not given.
    pub(super) fn new(weights: &WeightsArguments, context: Option<u32>) -> Result<Self> {
        let opened = Self::at(weights.model.path()?, context)?;
        let open = |(path, scale): &(PathBuf, f32)| -> Result<(Lora, f32)> {
            Ok((Lora::open(path, opened.config.architecture.name)?, *scale))
        };
        let adapters = weights.lora.iter().map(open).collect::<Result<_>>()?;
        Ok(Self { quantization: weights.quantize, adapters, ..opened })
    }

    /// The same by its path, with the matrices as they are.
    pub(super) fn at(path: PathBuf, context: Option<u32>) -> Result<Self> {
        let since = Instant::now();
        let source = Source::open(&path)?;
        let config = Config::from_source(&source)?;
        let context = context.map_or(config.context, |n| n as usize);
        if context > config.context {
            let longest = config.context;
            let message =
                format!("--context {context} exceeds what the model was made for, {longest} tokens");
            return Err(Error::Usage(message));
        }
        let tokenizer = Arc::new(Tokenizer::from_source(&source)?);
        Ok(Self { path, source, config, tokenizer, context, quantization: None, adapters: vec![], since })
    }

    /// The template of the file, which a conversation needs.
    pub(super) fn chat_template(&self) -> Result<ChatTemplate> {
        ChatTemplate::from_source(&self.source, &self.tokenizer)?.ok_or_else(|| {
            self.source.path_error(
                "has no chat template, so it was not made for conversations; use `kaiwu generate` without --chat",
            )
        })
    }

    /// Brings the weights to the device, or to the references.
    pub(super) fn load(self, device: &DeviceArguments, reference: bool) -> Result<Loaded> {
        let place = match reference {
            true => Place::Host,
            false => Place::Device(Gpu::open(&device.options())?),
        };
        let model = load_with(&place, &self.source, self.quantization, &self.adapters)?;
        Ok(Loaded { seconds: self.since.elapsed().as_secs_f64(), file: self, place, model })
    }
}

impl Loaded {
    /// A conversation with room for `expected` tokens to begin with.
    pub(super) fn runner(&self, expected: usize) -> Result<Runner> {
        Runner::new(&self.place, &self.model, Some(self.file.context), expected)
    }

    pub(super) fn adapter(&self) -> String {
        adapter(&self.place)
    }

    /// The path of the model file, for people.
    pub(super) fn name(&self) -> String {
        self.file.path.display().to_string()
    }
}

/// Brings the weights to `place` with a progress bar.
pub(super) fn load(place: &Place, source: &Source, quantization: Option<Quantization>) -> Result<Arc<Model>> {
    load_with(place, source, quantization, &[])
}

/// The same with what adapters add.
fn load_with(
    place: &Place,
    source: &Source,
    quantization: Option<Quantization>,
    adapters: &[(Lora, f32)],
) -> Result<Arc<Model>> {
    let total = source.tensors().iter().map(|tensor| tensor.bytes).sum();
    let what = if quantization.is_some() { "quantising" } else { "loading" };
    let mut progress = Progress::bytes(what, total);
    let mut model = Model::load_as(place, source, quantization, |done| progress.set(done))?;
    model.adapt(place, adapters)?;
    if let Place::Device(gpu) = place {
        gpu.wait()?;
    }
    Ok(Arc::new(model))
}

/// The name of what computes.
pub(super) fn adapter(place: &Place) -> String {
    match place {
        Place::Device(gpu) => gpu.report().name.clone(),
        Place::Host => "CPU references".into(),
    }
}
