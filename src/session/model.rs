//! A loaded model.

use super::chat::Chat;
use super::completion::Completion;
use super::model_file::{read_pooling, read_template, read_tokenizer};
use super::options::ModelOptions;
use super::text_score::TextScore;
use crate::Result;
use crate::format::Source;
use crate::generate::{Generator, Windows, recommended};
use crate::gpu::Device;
use crate::model::{Config, Embedder, Pooling, Runner, Scorer, SessionOptions, Weights};
use crate::sample::SamplerSettings;
use crate::text::{ChatTemplate, Tokenizer};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

/// Tokens of a window of a text that is scored.
const WINDOW: usize = 512;

/// What each conversation of a model has room for.
#[derive(Clone, Copy)]
pub(super) struct Session {
    pub room: SessionOptions,
    /// The cache grows. One that does not has all its room from the beginning: it could not be
    /// there twice.
    pub grows: bool,
}

impl Session {
    /// A conversation with room for `expected` tokens to begin with.
    pub(super) fn runner(
        &self,
        device: &Device,
        weights: &Arc<Weights>,
        expected: usize,
    ) -> Result<Runner> {
        let longest = self.room.context.unwrap_or(weights.config.max_context);
        let expected = if self.grows { expected } else { longest };
        Runner::with_room(device, weights, SessionOptions { expected, ..self.room })
    }
}

/// A language model on a device. Clones share its weights, and cost nothing.
///
/// ```
/// let model = kaiwu::Model::load("tests/data/tiny/llama-f32")?;
/// let text = model.completion("Once upon a time").max_tokens(8).text()?;
/// let vector = model.embed("a small cat")?;
/// assert_eq!(vector.len(), model.config().hidden_size);
/// # Ok::<(), kaiwu::Error>(())
/// ```
#[derive(Clone)]
pub struct Model {
    shared: Arc<Shared>,
}

struct Shared {
    source: Source,
    tokenizer: OnceLock<Arc<Tokenizer>>,
    device: Device,
    weights: Arc<Weights>,
    session: Session,
    /// State of a conversation that has ended or not begun, with what is compiled for it: the next
    /// one takes it.
    idle: Mutex<Option<Runner>>,
    embedder: Mutex<Option<Embedder>>,
    scorer: Mutex<Option<Scorer>>,
    loading: Duration,
}

/// A poisoned lock only says that another thread panicked; what is behind it begins again anyway.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Model {
    /// Loads a model: a GGUF file, a Hugging Face folder, or the `owner/name` of one in the hub's
    /// cache.
    ///
    /// # Errors
    /// When there is no such model, it is damaged or not supported, no device can be opened, or the
    /// model does not fit its memory.
    pub fn load(model: impl AsRef<Path>) -> Result<Self> {
        Self::options().load(model)
    }

    /// How a model is to be loaded.
    pub fn options() -> ModelOptions {
        ModelOptions::default()
    }

    pub(super) fn new(
        source: Source,
        tokenizer: OnceLock<Arc<Tokenizer>>,
        device: Device,
        weights: Arc<Weights>,
        session: Session,
        compiled: Option<Runner>,
        loading: Duration,
    ) -> Self {
        let shared = Shared {
            source,
            tokenizer,
            device,
            weights,
            session,
            idle: Mutex::new(compiled),
            embedder: Mutex::default(),
            scorer: Mutex::default(),
            loading,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Continues a text greedily, by up to 256 tokens. [`Model::completion`] has options.
    ///
    /// # Errors
    /// When the prompt has no tokens or too many, the model has no tokenizer, or the device fails.
    pub fn generate(&self, prompt: &str) -> Result<String> {
        self.completion(prompt).text()
    }

    /// A text to be continued, with options.
    pub fn completion(&self, prompt: impl Into<String>) -> Completion {
        Completion::of_text(self.clone(), prompt.into())
    }

    /// Tokens to be continued, with options.
    pub fn completion_of_ids(&self, prompt: impl Into<Vec<u32>>) -> Completion {
        Completion::of_ids(self.clone(), prompt.into())
    }

    /// A conversation. Ids are chosen as the model's files recommend, with another seed each time,
    /// unless options say otherwise.
    pub fn chat(&self) -> Chat {
        Chat::new(self.clone())
    }

    /// The vector of a text, of length 1 and with [`Config::hidden_size`] numbers: the hidden states
    /// after the last norm, pooled as the model's files say ([`Model::pooling`]).
    ///
    /// What it is computed with stays with the model, for the next text. Threads take turns; each
    /// may have an [`Model::embedder`] of its own.
    ///
    /// # Errors
    /// When the text has no tokens or too many, the model has no tokenizer, or the device fails.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let ids = self.tokenizer()?.encode(text, true)?;
        let pooling = self.pooling()?;
        let mut embedder = lock(&self.shared.embedder);
        if embedder.is_none() {
            *embedder = Some(self.embedder(ids.len())?);
        }
        match &mut *embedder {
            Some(embedder) => embedder.embed(&ids, pooling),
            None => Ok(vec![]),
        }
    }

    /// How likely the model holds each token of a text to be, given those before it in its window
    /// of 512 tokens; with the mean, and the perplexity. Control tokens spelled out in the text are
    /// text.
    ///
    /// # Errors
    /// When the text has fewer than two tokens, the model has no tokenizer, or the device fails.
    pub fn score(&self, text: &str) -> Result<TextScore> {
        let tokenizer = self.tokenizer()?;
        let window = WINDOW.min(self.context());
        let windows = Windows::new(&tokenizer.encode_plain(text)?, window, tokenizer.first())?;
        let mut scorer = lock(&self.shared.scorer);
        if scorer.is_none() {
            *scorer = Some(self.scorer(window)?);
        }
        match &mut *scorer {
            Some(scorer) => TextScore::new(scorer, &windows, tokenizer.first().is_some()),
            None => Ok(TextScore::default()),
        }
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When the files have none, or it is damaged or not supported.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        read_tokenizer(&self.shared.tokenizer, &self.shared.source)
    }

    /// The chat template.
    ///
    /// # Errors
    /// When the files have none, or it is damaged.
    pub fn chat_template(&self) -> Result<ChatTemplate> {
        read_template(&self.shared.source, self.tokenizer()?)
    }

    /// How hidden states become a text's vector: as the files say, or else their mean.
    ///
    /// # Errors
    /// When the files say something that is not supported.
    pub fn pooling(&self) -> Result<Pooling> {
        read_pooling(&self.shared.source)
    }

    /// How the model's files recommend to choose ids; none where they say nothing, or that the
    /// likeliest is to be taken.
    ///
    /// # Errors
    /// When a setting is of another type than it should be.
    pub fn recommended(&self) -> Result<Option<SamplerSettings>> {
        recommended(&self.shared.source)
    }

    /// The model's shape.
    pub fn config(&self) -> &Config {
        &self.shared.weights.config
    }

    /// Most tokens of a conversation, prompt and answer together.
    pub fn context(&self) -> usize {
        self.shared.session.room.context.unwrap_or(self.config().max_context)
    }

    /// The path of the model's file or folder.
    pub fn path(&self) -> &Path {
        self.shared.source.path()
    }

    /// The device that it is on, for other models to share.
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// The name of what computes.
    pub fn device_name(&self) -> &str {
        self.shared.device.name()
    }

    /// How long loading took, from opening the files to the last weight on the device.
    pub fn loading_time(&self) -> Duration {
        self.shared.loading
    }

    /// The weights, for what this type does not do.
    pub fn weights(&self) -> &Arc<Weights> {
        &self.shared.weights
    }

    /// What makes answers from ids, with room for `expected` tokens to begin with and an empty
    /// cache.
    ///
    /// # Errors
    /// When the model has no tokenizer, or the device's memory does not suffice.
    pub fn generator(&self, expected: usize) -> Result<Generator> {
        let tokenizer = Arc::clone(self.tokenizer()?);
        Ok(Generator::new(self.runner(expected)?, tokenizer))
    }

    /// What turns ids into vectors, with room for texts of `tokens` tokens to begin with.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn embedder(&self, tokens: usize) -> Result<Embedder> {
        Embedder::new(self.new_runner(tokens)?)
    }

    /// What scores texts in windows of `tokens` tokens.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn scorer(&self, tokens: usize) -> Result<Scorer> {
        Scorer::new(self.new_runner(tokens)?, Scorer::rows_for(self.config().vocab_size))
    }

    /// State of a conversation with room for `expected` tokens to begin with: that of one that has
    /// ended, where there is one.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn runner(&self, expected: usize) -> Result<Runner> {
        let idle = lock(&self.shared.idle).take();
        idle.map_or_else(|| self.new_runner(expected), Ok)
    }

    fn new_runner(&self, expected: usize) -> Result<Runner> {
        let Shared { device, weights, session, .. } = &*self.shared;
        session.runner(device, weights, expected)
    }

    /// Keeps the state of a conversation that has ended for the next one.
    pub(super) fn give_back(&self, generator: Generator) {
        *lock(&self.shared.idle) = Some(generator.into_runner());
    }
}
