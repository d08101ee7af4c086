//! A model's files, opened but not loaded.

use super::loading::{Loading, Reserved};
use super::locate::locate;
use super::model::{Model, Session};
use super::options::{ModelOptions, Place};
use crate::format::{Lora, Source};
use crate::gpu::{Device, Gpu};
use crate::model::rope::Scaling;
use crate::model::{Config, Embedder, Extent, Footprint, Pooling, Scorer, SessionOptions, notices};
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Error, Result};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

/// Tokens of a prompt to compile for where none is known: pipelines for a few serve any prompt.
const PROMPT: usize = 16;
/// Tokens to make room for at first where nothing is known; the cache grows.
const EXPECTED: usize = 1024;

/// What a model is loaded for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Tokens that there will be, as far as can be told.
    pub tokens: usize,
    /// Tokens of a prompt for which all is compiled before the weights are there, because compilers
    /// take memory; none where the model generates nothing.
    pub prompt: Option<usize>,
    /// Bytes on the device in addition to weights, cache and activations.
    pub extra_bytes: u64,
}

impl Needs {
    /// Answers to prompts of `prompt` tokens, with `tokens` of prompt and answer together.
    pub fn generation(prompt: usize, tokens: usize) -> Self {
        Self { tokens, prompt: Some(prompt), extra_bytes: 0 }
    }

    /// Vectors of texts of up to `tokens` tokens.
    pub fn embedding(config: &Config, tokens: usize) -> Self {
        Self { tokens, prompt: None, extra_bytes: Embedder::bytes_for(config) }
    }

    /// Likelihoods of texts in windows of `tokens` tokens.
    pub fn scoring(config: &Config, tokens: usize) -> Self {
        Self { tokens, prompt: None, extra_bytes: Scorer::bytes_for(config) }
    }
}

/// A model's file or folder, opened but not loaded: what is wrong with it, or with the options,
/// shows now.
///
/// ```
/// let file = kaiwu::Model::options().open("tests/data/tiny/llama-f32")?;
/// println!("{} layers", file.config().n_layers);
/// println!("takes {} bytes", file.footprint()?.total_bytes);
/// let model = file.load()?;
/// # Ok::<(), kaiwu::Error>(())
/// ```
pub struct ModelFile {
    source: Source,
    config: Config,
    /// Read at its first use: what is given as ids needs none.
    tokenizer: OnceLock<Arc<Tokenizer>>,
    /// Most tokens of a conversation.
    context: usize,
    adapters: Vec<(Lora, f32)>,
    options: ModelOptions,
    since: Instant,
}

impl ModelFile {
    pub(super) fn open(model: &Path, options: ModelOptions) -> Result<Self> {
        let since = Instant::now();
        let source = Source::open_ignoring(&locate(model)?, &options.ignored)?;
        let config = Config::from_source(&source)?;
        let context = options.context.unwrap_or(config.max_context);
        if context == 0 || context > config.max_context {
            let longest = config.max_context;
            let why = format!(
                "of {context} tokens is not possible: the model was made for 1 to {longest}"
            );
            return Err(Error::setting("a context", why));
        }
        let architecture = config.architecture.name;
        let adapters: Result<Vec<(Lora, f32)>> = options
            .lora
            .iter()
            .map(|(path, scale)| Ok((Lora::open(path, architecture)?, *scale)))
            .collect();
        let tokenizer = OnceLock::new();
        Ok(Self { source, config, tokenizer, context, adapters: adapters?, options, since })
    }

    /// The path of the file or folder.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// Tensors and metadata.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Most tokens of a conversation.
    pub fn context(&self) -> usize {
        self.context
    }

    /// What a person should know of the files before trusting the answers, a sentence each.
    pub fn notices(&self) -> Vec<String> {
        notices(&self.source)
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When the files have none, or it is damaged or not supported.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        read_tokenizer(&self.tokenizer, &self.source)
    }

    /// The chat template.
    ///
    /// # Errors
    /// When the files have none, or it is damaged.
    pub fn chat_template(&self) -> Result<ChatTemplate> {
        read_template(&self.source, self.tokenizer()?)
    }

    /// How hidden states become a text's vector: as the files say, or else their mean.
    ///
    /// # Errors
    /// When the files say something that is not supported.
    pub fn pooling(&self) -> Result<Pooling> {
        read_pooling(&self.source)
    }

    /// What the model takes on a device: with the context that was asked for, or else with that of
    /// a short conversation, from which it grows.
    ///
    /// # Errors
    /// When the model is not supported or damaged, or an adapter is for another one.
    pub fn footprint(&self) -> Result<Footprint> {
        self.footprint_for(self.usual())
    }

    /// What the model takes on a device where it is loaded for `needs`.
    ///
    /// # Errors
    /// When the model is not supported or damaged, or an adapter is for another one.
    pub fn footprint_for(&self, needs: Needs) -> Result<Footprint> {
        let tokens = needs.tokens.clamp(1, self.context);
        let context = if self.options.context.is_some() { self.context } else { tokens };
        let room = SessionOptions { context: Some(context), ..self.room(tokens) };
        let (extent, quantization) = (self.options.extent, self.options.quantization);
        let found =
            Footprint::of_extent(&self.source, extent, quantization, &self.adapters, &room)?;
        Ok(found.with_beside(needs.extra_bytes))
    }

    /// What is needed where nothing is said.
    fn usual(&self) -> Needs {
        match self.options.extent {
            Extent::Whole => Needs::generation(PROMPT.min(self.context), EXPECTED),
            Extent::WithoutOutput => Needs::embedding(&self.config, EXPECTED),
        }
    }

    /// Room for the context, and for `expected` tokens to begin with.
    fn room(&self, expected: usize) -> SessionOptions {
        let usual = SessionOptions::default();
        SessionOptions {
            context: Some(self.context),
            expected,
            chunk: self.options.chunk.unwrap_or(usual.chunk),
            cache: self.options.cache,
        }
    }

    /// Some models turn with other frequencies in contexts beyond the one that they were first made
    /// for. Where neither the options nor `tokens` ask for more, that one is kept to, and its
    /// frequencies.
    #[doc(hidden)]
    pub fn expect(&mut self, tokens: usize) {
        for rope in &self.config.ropes {
            if let Scaling::Long { original, .. } = rope.scaling
                && self.options.context.is_none()
                && tokens <= original
            {
                self.context = self.context.min(original);
            }
        }
    }

    /// Loads the model for conversations.
    ///
    /// # Errors
    /// When no device can be opened, the model does not fit its memory, or a kernel does not
    /// compile.
    pub fn load(self) -> Result<Model> {
        let needs = self.usual();
        self.load_for(needs)
    }

    /// Loads the model for what it is needed for, in the order that takes the least memory: it is
    /// refused where it cannot fit, then makes room, compiles, has compilers give their memory
    /// back, and brings the weights to the device.
    ///
    /// # Errors
    /// When no device can be opened, the model does not fit its memory, or a kernel does not
    /// compile.
    pub fn load_for(mut self, needs: Needs) -> Result<Model> {
        self.expect(needs.tokens);
        let device = match &self.options.place {
            Place::New(options) => Device::Gpu(Gpu::open(options)?),
            Place::Given(device) => device.clone(),
        };
        let mut grows = true;
        if let Device::Gpu(gpu) = &device {
            let footprint = self.footprint_for(needs)?;
            // A cache that grows is there twice for a moment; where that is too much, it does not
            // grow.
            grows = footprint.check(gpu).is_ok();
            if !grows {
                footprint.at_once().check(gpu)?;
            }
        }
        self.load_at(device, needs, grows)
    }

    /// Loads the model onto `device`, without a look at whether it fits.
    ///
    /// # Errors
    /// When the device fails.
    #[doc(hidden)]
    pub fn load_on(self, device: Device) -> Result<Model> {
        let needs = Needs { tokens: 1, prompt: None, extra_bytes: 0 };
        self.load_at(device, needs, true)
    }

    fn load_at(mut self, device: Device, needs: Needs, grows: bool) -> Result<Model> {
        let mut told = self.options.progress.take();
        let mut progress = |loading: Loading| {
            if let Some(told) = &mut told {
                told(loading);
            }
        };
        let (extent, quantization) = (self.options.extent, self.options.quantization);
        let reserved = Reserved::new(
            &device,
            &self.source,
            extent,
            quantization,
            &self.adapters,
            &mut progress,
        )?;
        let session = Session { room: self.room(needs.tokens), grows };
        let mut compiled = None;
        if let Some(prompt) = needs.prompt {
            let mut runner = session.runner(&device, &reserved.weights, needs.tokens)?;
            runner.fits(prompt)?;
            runner.compile(prompt)?;
            compiled = Some(runner);
        }
        let weights = reserved.fill(&device, &mut progress)?;
        let Self { source, tokenizer, since, .. } = self;
        Ok(Model::new(source, tokenizer, device, weights, session, compiled, since.elapsed()))
    }
}

pub(super) fn read_tokenizer<'a>(
    known: &'a OnceLock<Arc<Tokenizer>>,
    source: &Source,
) -> Result<&'a Arc<Tokenizer>> {
    if let Some(tokenizer) = known.get() {
        return Ok(tokenizer);
    }
    let tokenizer = Arc::new(Tokenizer::from_source(source)?);
    Ok(known.get_or_init(|| tokenizer))
}

pub(super) fn read_template(source: &Source, tokenizer: &Tokenizer) -> Result<ChatTemplate> {
    ChatTemplate::from_source(source, tokenizer)?.ok_or_else(|| {
        source.path_error("has no chat template, so it was not made for conversations")
    })
}

pub(super) fn read_pooling(source: &Source) -> Result<Pooling> {
    Ok(Pooling::declared(source)?.map_or(Pooling::Mean, |declared| declared.pooling))
}
