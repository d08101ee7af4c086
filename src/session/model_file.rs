//! A model's files, opened but not loaded.

use super::loading::{Loading, Reserved};
use super::locate::locate;
use super::model::{Model, Session};
use super::options::{ModelOptions, Place};
use crate::error::Remedy;
use crate::format::{Lora, Source};
use crate::gpu::{Device, Gpu};
use crate::model::rope::Scaling;
use crate::model::{Config, Embedder, Extent, Footprint, Pooling, Scorer, SessionOptions, notices};
use crate::platform::Instant;
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Error, Result};
use std::path::Path;
use std::sync::{Arc, OnceLock};

/// Prompt length to compile for if it is not known: the kernels for short prompts serve any prompt.
const PROMPT: usize = 16;
/// Tokens that the cache initially has room for if nothing else is known; it grows.
const EXPECTED: usize = 1024;

/// What a model is loaded for, which determines the memory it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Expected number of tokens in the context.
    pub tokens: usize,
    /// Prompt length for which kernels are compiled before the weights are loaded, because
    /// compilers take memory; `None` if the model does not generate text.
    pub prompt: Option<usize>,
    /// Bytes on the device in addition to weights, cache and activations.
    pub extra_bytes: u64,
}

impl Needs {
    /// Needs of answers to prompts of `prompt` tokens, with `tokens` tokens of prompt and answer
    /// together.
    pub fn generation(prompt: usize, tokens: usize) -> Self {
        Self { tokens, prompt: Some(prompt), extra_bytes: 0 }
    }

    /// Needs of embedding texts of up to `tokens` tokens.
    pub fn embedding(config: &Config, tokens: usize) -> Self {
        Self { tokens, prompt: None, extra_bytes: Embedder::bytes_for(config) }
    }

    /// Needs of scoring texts in windows of `tokens` tokens.
    pub fn scoring(config: &Config, tokens: usize) -> Self {
        Self { tokens, prompt: None, extra_bytes: Scorer::bytes_for(config) }
    }
}

/// A model's file or folder, opened but not loaded. Problems with the files or with the options are
/// reported by opening it.
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
    /// Created at its first use, because prompts given as ids need none.
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
        let adapters = Lora::open_all(&options.lora, config.architecture.name)?;
        let tokenizer = OnceLock::new();
        Ok(Self { source, config, tokenizer, context, adapters, options, since })
    }

    /// The path of the file or folder.
    pub fn path(&self) -> &Path {
        self.source.path()
    }

    /// Tensors and metadata of the files.
    pub fn source(&self) -> &Source {
        &self.source
    }

    /// The shape of the model.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Most tokens of a conversation, counting prompt and answers.
    pub fn context(&self) -> usize {
        self.context
    }

    /// Warnings about the files that a user should read before trusting the answers, a sentence
    /// each.
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

    /// The chat template of the model.
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

    /// The memory that the model takes on a device: with the context that was asked for, or else
    /// with the initial context of a conversation that grows.
    ///
    /// # Errors
    /// When the model is not supported or damaged, or an adapter is for another one.
    pub fn footprint(&self) -> Result<Footprint> {
        self.footprint_for(self.usual())
    }

    /// The memory that the model takes on a device if it is loaded for `needs`.
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

    /// The needs if the caller states none.
    fn usual(&self) -> Needs {
        match self.options.extent {
            Extent::Whole => Needs::generation(PROMPT.min(self.context), EXPECTED),
            Extent::WithoutOutput => Needs::embedding(&self.config, EXPECTED),
        }
    }

    /// Options of a conversation with the file's context, whose cache initially has room for
    /// `expected` tokens.
    fn room(&self, expected: usize) -> SessionOptions {
        let usual = SessionOptions::default();
        SessionOptions {
            context: Some(self.context),
            expected,
            chunk: self.options.chunk.unwrap_or(usual.chunk),
            cache: self.options.cache,
        }
    }

    /// Some models use other rotary frequencies in contexts beyond their original one. Unless the
    /// options or `tokens` ask for more, this keeps to the original context and its frequencies.
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

    /// Loads the model for `needs`, in the order that takes the least memory: it checks that the
    /// model fits, allocates its memory, compiles kernels, lets compilers release their memory, and
    /// uploads the weights.
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
            // A growing cache briefly exists twice. If that does not fit in memory, the cache has
            // its full size from the beginning.
            grows = footprint.check(gpu).is_ok();
            if !grows {
                footprint.at_once().check(gpu)?;
            }
        }
        self.load_at(device, needs, grows)
    }

    /// Loads the model onto `device`, without checking whether it fits.
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
        source
            .path_error("has no chat template, so it was not made for conversations")
            .with_remedy(Remedy::ContinueTexts)
    })
}

pub(super) fn read_pooling(source: &Source) -> Result<Pooling> {
    Ok(Pooling::declared(source)?.map_or(Pooling::Mean, |declared| declared.pooling))
}
