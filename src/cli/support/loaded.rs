//! What most commands begin with: a model's file or folder, its tokenizer, a device, and the
//! weights on it.

use super::arguments::{DeviceArguments, WeightsArguments};
use super::progress::Progress;
use crate::format::{Ignored, Lora, Quantization, Source};
use crate::gpu::{Device, Gpu};
use crate::kernels::CacheType;
use crate::model::rope::Scaling;
use crate::model::{
    Config, Extent, Footprint, PendingUpload, Runner, SessionOptions, Weights, notices,
};
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Error, Result};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// A model's file or folder, opened but not loaded: what is wrong with a command line should show
/// now.
pub(in crate::cli) struct Opened {
    pub path: PathBuf,
    pub source: Source,
    pub config: Config,
    /// Once somebody has asked for it: what is given as ids needs none.
    tokenizer: OnceLock<Arc<Tokenizer>>,
    /// Most tokens of a conversation.
    pub context: usize,
    /// Somebody asked for that many.
    context_asked: bool,
    /// What the matrices become while loading.
    pub quantization: Option<Quantization>,
    /// How keys and values are stored.
    pub cache: CacheType,
    /// How much of the model is wanted.
    extent: Extent,
    /// What is added to the model, with its scale.
    adapters: Vec<(Lora, f32)>,
    since: Instant,
}

/// What a command asks of a device beside the weights.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct Needs {
    /// Tokens that there will be, as far as can be told.
    pub tokens: usize,
    /// Bytes beside those of a conversation.
    pub beside: u64,
}

impl Needs {
    /// Room for so many tokens, and nothing else.
    pub(in crate::cli) fn tokens(tokens: usize) -> Self {
        Self { tokens, beside: 0 }
    }
}

/// A model on a device, or on none.
pub(in crate::cli) struct Loaded {
    pub file: Opened,
    pub place: Device,
    pub model: Arc<Weights>,
    /// The cache has all its room from the beginning: it could not be there twice.
    at_once: bool,
    /// Seconds from opening the file to the last weight on the device.
    pub seconds: f64,
}

/// A model with room for its weights, which are not there yet.
struct Reserved {
    loaded: Loaded,
    pending: PendingUpload,
}

impl Opened {
    /// Opens a model for conversations of `context` tokens, the model's own number if not given.
    pub(in crate::cli) fn new(weights: &WeightsArguments, context: Option<u32>) -> Result<Self> {
        let ignored = weights.model.ignoring.ignored();
        let opened = Self::at(weights.model.path()?, &ignored, context)?;
        let adapters = open_adapters(&weights.loading.lora, &opened.config)?;
        let (quantization, cache) = (weights.loading.quantize, weights.loading.cache.cache);
        Ok(Self { quantization, cache, adapters, ..opened })
    }

    /// The same by its path, with the matrices as they are.
    pub(in crate::cli) fn at(
        path: PathBuf,
        ignored: &Ignored,
        context: Option<u32>,
    ) -> Result<Self> {
        let since = Instant::now();
        let source = Source::open_ignoring(&path, ignored)?;
        let config = Config::from_source(&source)?;
        notices(&source).iter().for_each(|notice| eprintln!("kaiwu: {}: {notice}", path.display()));
        let context_asked = context.is_some();
        let context = context.map_or(config.max_context, |n| n as usize);
        if context > config.max_context {
            let longest = config.max_context;
            let message = format!(
                "--context {context} exceeds what the model was made for, {longest} tokens"
            );
            return Err(Error::Usage(message));
        }
        Ok(Self {
            path,
            source,
            config,
            tokenizer: OnceLock::new(),
            context,
            context_asked,
            quantization: None,
            cache: CacheType::F16,
            extent: Extent::Whole,
            adapters: vec![],
            since,
        })
    }

    /// The same without what turns hidden states into logits.
    pub(in crate::cli) fn without_output(self) -> Self {
        Self { extent: Extent::WithoutOutput, ..self }
    }

    /// The tokenizer, which texts need.
    pub(in crate::cli) fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        match self.tokenizer.get() {
            Some(tokenizer) => Ok(tokenizer),
            None => {
                let tokenizer = Arc::new(Tokenizer::from_source(&self.source)?);
                Ok(self.tokenizer.get_or_init(|| tokenizer))
            }
        }
    }

    /// Room for the context, and for `expected` tokens to begin with.
    fn room(&self, expected: usize) -> SessionOptions {
        SessionOptions {
            context: Some(self.context),
            expected,
            cache: self.cache,
            ..SessionOptions::default()
        }
    }

    /// Some models turn with other frequencies in contexts beyond the one that they were first made
    /// for. Where neither the command line nor `tokens` asks for more, that one is kept to, and its
    /// frequencies.
    pub(in crate::cli) fn expect(&mut self, tokens: usize) {
        for rope in &self.config.ropes {
            if let Scaling::Long { original, .. } = rope.scaling
                && !self.context_asked
                && tokens <= original
            {
                self.context = self.context.min(original);
            }
        }
    }

    /// What it takes on a device: with the context that was asked for, or else with as many tokens
    /// as are needed.
    pub(in crate::cli) fn footprint(&self, needs: Needs) -> Result<Footprint> {
        let tokens = needs.tokens.clamp(1, self.context);
        let context = Some(if self.context_asked { self.context } else { tokens });
        let room = SessionOptions { context, ..self.room(tokens) };
        let found = Footprint::of_extent(
            &self.source,
            self.extent,
            self.quantization,
            &self.adapters,
            &room,
        )?;
        Ok(found.with_beside(needs.beside))
    }

    /// The template of the file, which a conversation needs.
    pub(in crate::cli) fn chat_template(&self) -> Result<ChatTemplate> {
        ChatTemplate::from_source(&self.source, self.tokenizer()?)?.ok_or_else(|| {
            self.source.path_error(
                "has no chat template, so it was not made for conversations; use `kaiwu generate` without --chat",
            )
        })
    }

    /// Brings the weights to the device, or to the references, unless they and what is needed
    /// cannot fit.
    pub(in crate::cli) fn load(
        self,
        device: &DeviceArguments,
        reference: bool,
        needs: Needs,
    ) -> Result<Loaded> {
        self.reserve(device, reference, needs)?.filled()
    }

    /// The same with a conversation that has room for `expected` tokens and begins with `prompt`
    /// tokens, for which all is compiled before the weights are there: compilers take memory.
    pub(in crate::cli) fn load_with_runner(
        self,
        device: &DeviceArguments,
        reference: bool,
        prompt: usize,
        expected: usize,
    ) -> Result<(Loaded, Runner)> {
        let reserved = self.reserve(device, reference, Needs::tokens(expected))?;
        let mut runner = reserved.loaded.runner(expected)?;
        runner.fits(prompt)?;
        runner.compile(prompt)?;
        Ok((reserved.filled()?, runner))
    }

    /// Opens the device and makes room for the weights.
    fn reserve(
        mut self,
        device: &DeviceArguments,
        reference: bool,
        needs: Needs,
    ) -> Result<Reserved> {
        self.expect(needs.tokens);
        let place = match reference {
            true => Device::Reference,
            false => Device::Gpu(Gpu::open(&device.options())?),
        };
        let mut at_once = false;
        if let Device::Gpu(gpu) = &place {
            let footprint = self.footprint(needs)?;
            // A cache that grows is there twice for a moment; where that is too much, it does not
            // grow.
            at_once = footprint.check(gpu).is_err();
            if at_once {
                footprint.at_once().check(gpu)?;
            }
        }
        let mut reserved = self.reserve_at(place)?;
        reserved.loaded.at_once = at_once;
        Ok(reserved)
    }

    /// Makes room for the weights at `place`, which has it.
    fn reserve_at(self, place: Device) -> Result<Reserved> {
        let (model, pending) =
            reserve(&place, &self.source, self.extent, self.quantization, &self.adapters)?;
        let loaded = Loaded { file: self, place, model, at_once: false, seconds: 0.0 };
        Ok(Reserved { loaded, pending })
    }

    /// Brings the weights to `place`, which has room for them.
    pub(in crate::cli) fn load_at(self, place: Device) -> Result<Loaded> {
        self.reserve_at(place)?.filled()
    }
}

impl Reserved {
    /// Brings the weights to where they have room.
    fn filled(self) -> Result<Loaded> {
        let Self { mut loaded, pending } = self;
        fill(&loaded.place, &loaded.file.source, pending)?;
        loaded.seconds = loaded.file.since.elapsed().as_secs_f64();
        Ok(loaded)
    }
}

impl Loaded {
    /// A conversation with room for `expected` tokens to begin with.
    pub(in crate::cli) fn runner(&self, expected: usize) -> Result<Runner> {
        self.runner_in_chunks(expected, SessionOptions::default().chunk)
    }

    /// The same with at most `chunk` tokens of a prompt at once.
    pub(in crate::cli) fn runner_in_chunks(&self, expected: usize, chunk: usize) -> Result<Runner> {
        let expected = if self.at_once { self.file.context } else { expected };
        Runner::with_room(
            &self.place,
            &self.model,
            SessionOptions { chunk, ..self.file.room(expected) },
        )
    }

    pub(in crate::cli) fn adapter(&self) -> String {
        adapter(&self.place)
    }

    /// The path of the model file, for people.
    pub(in crate::cli) fn name(&self) -> String {
        self.file.path.display().to_string()
    }
}

/// Opens adapters for a model of this configuration.
pub(in crate::cli) fn open_adapters(
    asked: &[(PathBuf, f32)],
    config: &Config,
) -> Result<Vec<(Lora, f32)>> {
    let open = |(path, scale): &(PathBuf, f32)| -> Result<(Lora, f32)> {
        Ok((Lora::open(path, config.architecture.name)?, *scale))
    };
    asked.iter().map(open).collect()
}

/// Brings the weights to `place` with a progress bar, and what adapters add.
pub(in crate::cli) fn load(
    place: &Device,
    source: &Source,
    quantization: Option<Quantization>,
    adapters: &[(Lora, f32)],
) -> Result<Arc<Weights>> {
    let (model, pending) = reserve(place, source, Extent::Whole, quantization, adapters)?;
    fill(place, source, pending)?;
    Ok(model)
}

/// A model with room for its weights, and what adapters add.
fn reserve(
    place: &Device,
    source: &Source,
    extent: Extent,
    quantization: Option<Quantization>,
    adapters: &[(Lora, f32)],
) -> Result<(Arc<Weights>, PendingUpload)> {
    let mut progress = quantization.map(|_| Progress::bytes("quantising", bytes(source)));
    let told = |done| progress.iter_mut().for_each(|bar| bar.set(done));
    let (mut model, pending) = Weights::reserve(place, source, extent, quantization, told)?;
    model.adapt(place, adapters)?;
    Ok((Arc::new(model), pending))
}

fn fill(place: &Device, source: &Source, pending: PendingUpload) -> Result<()> {
    let mut progress = Progress::bytes("loading", bytes(source));
    pending.fill(place, |done| progress.set(done))?;
    match place {
        Device::Gpu(gpu) => gpu.wait(),
        Device::Reference => Ok(()),
    }
}

/// Bytes of all tensors.
fn bytes(source: &Source) -> u64 {
    source.tensors().iter().map(|tensor| tensor.bytes).sum()
}

/// The name of what computes.
pub(in crate::cli) fn adapter(place: &Device) -> String {
    match place {
        Device::Gpu(gpu) => gpu.report().name.clone(),
        Device::Reference => "CPU references".into(),
    }
}
