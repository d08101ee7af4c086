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

/// Length of the windows in which a text is scored, in tokens.
const WINDOW: usize = 512;

/// The size of the cache of each conversation.
#[derive(Clone, Copy)]
pub(super) struct Session {
    pub room: SessionOptions,
    /// Whether the cache grows. If not, it has its full size from the beginning, because old and
    /// new cache would not fit in memory together.
    pub grows: bool,
}

impl Session {
    /// A runner whose cache initially has room for `expected` tokens.
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

/// A language model on a device. Clones share its weights, and are cheap.
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
    /// The runner of a conversation that has ended or not begun, with its compiled steps. The next
    /// conversation takes it over.
    idle: Mutex<Option<Runner>>,
    /// With the pooling that the files say, which is read once.
    embedder: Mutex<Option<(Embedder, Pooling)>>,
    scorer: Mutex<Option<Scorer>>,
    loading: Duration,
}

/// Ignores poisoning: it only says that another thread panicked, and the guarded state is reset
/// before it is used.
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

    /// Options for loading a model.
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

    /// Options for continuing a text.
    pub fn completion(&self, prompt: impl Into<String>) -> Completion {
        Completion::of_text(self.clone(), prompt.into())
    }

    /// Options for continuing token ids.
    pub fn completion_of_ids(&self, prompt: impl Into<Vec<u32>>) -> Completion {
        Completion::of_ids(self.clone(), prompt.into())
    }

    /// Begins a conversation. Tokens are sampled as the model's files recommend, with a new random
    /// seed each time, unless options say otherwise.
    pub fn chat(&self) -> Chat {
        Chat::new(self.clone())
    }

    /// The vector of a text, of length 1 and with [`Config::hidden_size`] numbers: the hidden states
    /// after the last norm, pooled as the model's files say ([`Model::pooling`]).
    ///
    /// The buffers of the computation stay with the model, for the next text. Threads wait for each
    /// other here; a thread can have an [`Model::embedder`] of its own instead.
    ///
    /// # Errors
    /// When the text has no tokens or too many, the model has no tokenizer, or the device fails.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>> {
        let ids = self.tokenizer()?.encode(text, true)?;
        let mut known = lock(&self.shared.embedder);
        let (embedder, pooling) = match &mut *known {
            Some(known) => known,
            none => none.insert((self.embedder(ids.len())?, self.pooling()?)),
        };
        embedder.embed(&ids, *pooling)
    }

    /// Scores how likely each token of a text is according to the model, given the tokens before it
    /// in its window of 512 tokens. The score includes the mean and the perplexity. Control tokens
    /// spelled out in the text are treated as text.
    ///
    /// # Errors
    /// When the text has fewer than two tokens, the model has no tokenizer, or the device fails.
    pub fn score(&self, text: &str) -> Result<TextScore> {
        let tokenizer = self.tokenizer()?;
        let window = WINDOW.min(self.context());
        let windows = Windows::new(&tokenizer.encode_plain(text)?, window, tokenizer.first())?;
        let mut known = lock(&self.shared.scorer);
        let scorer = match &mut *known {
            Some(scorer) => scorer,
            none => none.insert(self.scorer(window)?),
        };
        TextScore::new(scorer, &windows, tokenizer.first().is_some())
    }

    /// The tokenizer.
    ///
    /// # Errors
    /// When the files have none, or it is damaged or not supported.
    pub fn tokenizer(&self) -> Result<&Arc<Tokenizer>> {
        read_tokenizer(&self.shared.tokenizer, &self.shared.source)
    }

    /// The chat template of the model.
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

    /// The sampling settings that the model's files recommend; `None` if they recommend none, or
    /// greedy sampling.
    ///
    /// # Errors
    /// When a setting is of another type than it should be.
    pub fn recommended(&self) -> Result<Option<SamplerSettings>> {
        recommended(&self.shared.source)
    }

    /// The shape of the model.
    pub fn config(&self) -> &Config {
        &self.shared.weights.config
    }

    /// Most tokens of a conversation, counting prompt and answers.
    pub fn context(&self) -> usize {
        self.shared.session.room.context.unwrap_or(self.config().max_context)
    }

    /// The path of the model's file or folder.
    pub fn path(&self) -> &Path {
        self.shared.source.path()
    }

    /// The device that holds the model, which other models can share.
    pub fn device(&self) -> &Device {
        &self.shared.device
    }

    /// The name of the device.
    pub fn device_name(&self) -> &str {
        self.shared.device.name()
    }

    /// The time that loading took, from opening the files to the last upload.
    pub fn loading_time(&self) -> Duration {
        self.shared.loading
    }

    /// The weights, for uses that this type does not cover.
    pub fn weights(&self) -> &Arc<Weights> {
        &self.shared.weights
    }

    /// A generator of answers from ids, with an empty cache that initially has room for `expected`
    /// tokens.
    ///
    /// # Errors
    /// When the model has no tokenizer, or the device's memory does not suffice.
    pub fn generator(&self, expected: usize) -> Result<Generator> {
        let tokenizer = Arc::clone(self.tokenizer()?);
        Ok(Generator::new(self.runner(expected)?, tokenizer))
    }

    /// An embedder that turns ids into vectors, with room for texts of `tokens` tokens initially.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn embedder(&self, tokens: usize) -> Result<Embedder> {
        Embedder::new(self.new_runner(tokens)?)
    }

    /// A scorer of texts in windows of `tokens` tokens.
    ///
    /// # Errors
    /// When the device's memory does not suffice.
    pub fn scorer(&self, tokens: usize) -> Result<Scorer> {
        Scorer::new(self.new_runner(tokens)?, Scorer::rows_for(self.config().vocab_size))
    }

    /// A runner whose cache initially has room for `expected` tokens. If a conversation has ended,
    /// its runner is reused.
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

    /// Keeps the runner of a conversation that has ended for the next one.
    pub(super) fn give_back(&self, generator: Generator) {
        *lock(&self.shared.idle) = Some(generator.into_runner());
    }
}
