//! What most commands begin with: a model's file or folder, its tokenizer, a device, and the weights on it.

use super::arguments::{DeviceArguments, WeightsArguments};
use super::progress::Progress;
use crate::format::{Lora, Quantization, Source};
use crate::gpu::{Gpu, Place, return_freed_memory};
use crate::kernels::CacheType;
use crate::model::{Config, Footprint, Model, Room, Runner, Unfilled};
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
    /// Somebody asked for that many.
    context_asked: bool,
    /// What the matrices become while loading.
    quantization: Option<Quantization>,
    /// How keys and values are stored.
    pub cache: CacheType,
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
        let (quantization, cache) = (weights.quantize, weights.cache.cache);
        Ok(Self { quantization, cache, adapters, ..opened })
    }

    /// The same by its path, with the matrices as they are.
    pub(super) fn at(path: PathBuf, context: Option<u32>) -> Result<Self> {
        let since = Instant::now();
        let source = Source::open(&path)?;
        let config = Config::from_source(&source)?;
        let context_asked = context.is_some();
        let context = context.map_or(config.context, |n| n as usize);
        if context > config.context {
            let longest = config.context;
            let message =
                format!("--context {context} exceeds what the model was made for, {longest} tokens");
            return Err(Error::Usage(message));
        }
        let tokenizer = Arc::new(Tokenizer::from_source(&source)?);
        Ok(Self {
            path,
            source,
            config,
            tokenizer,
            context,
            context_asked,
            quantization: None,
            cache: CacheType::F16,
            adapters: vec![],
            since,
        })
    }

    /// Room for the context, and for `expected` tokens to begin with.
    pub(super) fn room(&self, expected: usize) -> Room {
        Room { context: Some(self.context), expected, cache: self.cache, ..Room::default() }
    }

    /// What it takes on a device: with the context that was asked for, or else as much as a conversation begins with.
    fn footprint(&self) -> Result<Footprint> {
        let beginning = Room::default().expected.min(self.context);
        let context = Some(if self.context_asked { self.context } else { beginning });
        Footprint::new(&self.source, self.quantization, &Room { context, ..self.room(beginning) })
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
        let (mut loaded, unfilled) = self.reserve(device, reference)?;
        loaded.fill(unfilled)?;
        Ok(loaded)
    }

    /// The same with a conversation that has room for `expected` tokens and begins with `prompt` tokens, for which all is
    /// compiled before the weights are there: compilers take memory.
    pub(super) fn load_with_runner(
        self,
        device: &DeviceArguments,
        reference: bool,
        prompt: usize,
        expected: usize,
    ) -> Result<(Loaded, Runner)> {
        let (mut loaded, unfilled) = self.reserve(device, reference)?;
        let mut runner = loaded.runner(expected)?;
        runner.fits(prompt)?;
        runner.compile(prompt)?;
        loaded.fill(unfilled)?;
        Ok((loaded, runner))
    }

    /// Opens the device and makes room for the weights.
    fn reserve(self, device: &DeviceArguments, reference: bool) -> Result<(Loaded, Unfilled)> {
        let place = match reference {
            true => Place::Host,
            false => Place::Device(Gpu::open(&device.options())?),
        };
        if let Place::Device(gpu) = &place {
            self.footprint()?.check(gpu)?;
        }
        let (model, unfilled) = reserve(&place, &self.source, self.quantization, &self.adapters)?;
        Ok((Loaded { seconds: 0.0, file: self, place, model }, unfilled))
    }
}

impl Loaded {
    fn fill(&mut self, unfilled: Unfilled) -> Result<()> {
        return_freed_memory();
        fill(&self.place, &self.file.source, unfilled)?;
        self.seconds = self.file.since.elapsed().as_secs_f64();
        Ok(())
    }

    /// A conversation with room for `expected` tokens to begin with.
    pub(super) fn runner(&self, expected: usize) -> Result<Runner> {
        self.runner_with(self.file.room(expected))
    }

    /// A conversation with this room.
    pub(super) fn runner_with(&self, room: Room) -> Result<Runner> {
        Runner::with_room(&self.place, &self.model, room)
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
    let (model, unfilled) = reserve(place, source, quantization, &[])?;
    fill(place, source, unfilled)?;
    Ok(model)
}

/// A model with room for its weights, and what adapters add.
fn reserve(
    place: &Place,
    source: &Source,
    quantization: Option<Quantization>,
    adapters: &[(Lora, f32)],
) -> Result<(Arc<Model>, Unfilled)> {
    let mut progress = quantization.map(|_| Progress::bytes("quantising", bytes(source)));
    let told = |done| progress.iter_mut().for_each(|bar| bar.set(done));
    let (mut model, unfilled) = Model::reserve(place, source, quantization, told)?;
    model.adapt(place, adapters)?;
    Ok((Arc::new(model), unfilled))
}

fn fill(place: &Place, source: &Source, unfilled: Unfilled) -> Result<()> {
    let mut progress = Progress::bytes("loading", bytes(source));
    unfilled.fill(place, |done| progress.set(done))?;
    match place {
        Place::Device(gpu) => gpu.wait(),
        Place::Host => Ok(()),
    }
}

/// Bytes of all tensors.
fn bytes(source: &Source) -> u64 {
    source.tensors().iter().map(|tensor| tensor.bytes).sum()
}

/// The name of what computes.
pub(super) fn adapter(place: &Place) -> String {
    match place {
        Place::Device(gpu) => gpu.report().name.clone(),
        Place::Host => "CPU references".into(),
    }
}
