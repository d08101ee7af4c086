//! Running a model: token ids in, logits or greedy choices out, on the device or through the
//! references.

mod check;
mod compiled;
mod decode;
mod embedder;
mod results;
mod scorer;

use self::compiled::Compiled;
use super::counters::Counters;
use super::forward::{Activations, Pass};
use super::profile::Timing;
use super::state::{Cache, MOST_STEPS, SessionOptions};
use super::weights::Weights;
use crate::gpu::{Device, Element, HostMemory, Recording, Tensor};
use crate::{Error, Result};
use std::collections::HashMap;
use std::sync::Arc;

pub use embedder::Embedder;
pub use scorer::{Score, Scorer};

/// Which logits a step computes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogitsMode {
    /// None: the step only fills the cache.
    Nothing,
    /// Those of the last token, and the greedy choice.
    Last,
    /// Those of every token.
    All,
}

struct Step {
    compiled: Arc<Compiled>,
    logits: Tensor,
    /// Run before, so that a profile does not time its compilation.
    warm: bool,
}

/// A model with a conversation's state.
pub struct Runner {
    device: Device,
    model: Arc<Weights>,
    context: usize,
    room: SessionOptions,
    cache: Cache,
    activations: HashMap<usize, Arc<Activations>>,
    steps: HashMap<(usize, LogitsMode), Step>,
    /// Word 0: position of the next step's first token.
    step: Tensor,
    /// The greedy choice, which is the next decode step's input.
    chosen: Tensor,
    /// Logits of the last token `[1, V]`.
    logits: Tensor,
    host: HostMemory,
    position: usize,
    /// Positions below this were written since the conversation began.
    written: usize,
    counters: Counters,
    /// Bytes that whoever runs this holds beside it.
    beside: u64,
    /// Dispatches of the steps run since profiling began.
    profile: Option<Vec<Timing>>,
}

impl Runner {
    /// An empty conversation of at most `context` tokens, with room for `expected` to begin with.
    ///
    /// # Errors
    /// When the context exceeds the model's own or the device's memory.
    pub fn new(
        device: &Device,
        model: &Arc<Weights>,
        context: Option<usize>,
        expected: usize,
    ) -> Result<Self> {
        Self::with_room(
            device,
            model,
            SessionOptions { context, expected, ..SessionOptions::default() },
        )
    }

    /// An empty conversation with room as asked for.
    ///
    /// # Errors
    /// When the context exceeds the model's own or the device's memory.
    pub fn with_room(device: &Device, model: &Arc<Weights>, room: SessionOptions) -> Result<Self> {
        let room = SessionOptions { chunk: room.chunk.max(1), ..room };
        let longest = model.config.max_context;
        let context = room.context.unwrap_or(longest);
        if context == 0 || context > longest {
            let why = format!(
                "of {context} tokens is not possible: the model was made for 1 to {longest}"
            );
            return Err(Error::setting("a context", why));
        }
        let cache =
            Cache::new(device, &model.config, room.expected.clamp(1, context), context, &room)?;
        let vocabulary = model.config.vocab_size.next_multiple_of(4);
        let one = Arc::new(Activations::new(device, model, 1, room.cache)?);
        let chosen = one.ids.clone();
        Ok(Self {
            device: device.clone(),
            model: Arc::clone(model),
            context,
            room,
            cache,
            activations: HashMap::from([(1, one)]),
            steps: HashMap::new(),
            step: Tensor::uniform(device, "step", 1)?,
            chosen,
            logits: Tensor::zeros(device, "logits", &[1, vocabulary], Element::F32)?,
            host: HostMemory::default(),
            position: 0,
            written: 0,
            counters: Counters::default(),
            beside: 0,
            profile: None,
        })
    }

    /// The model.
    pub fn model(&self) -> &Weights {
        &self.model
    }

    /// Tokens in the cache.
    pub fn position(&self) -> usize {
        self.position
    }

    /// Most tokens the conversation may have.
    pub fn context(&self) -> usize {
        self.context
    }

    /// What was computed and transferred so far; checks and profiles apart.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    fn count(&mut self, tokens: usize, dispatches: usize, readback_bytes: u64) {
        let submits = u64::from(matches!(self.device, Device::Gpu(_)));
        self.counters.tokens += tokens as u64;
        self.counters.dispatches += dispatches as u64;
        self.counters.submits += submits;
        self.counters.readback_bytes += submits * readback_bytes;
    }

    /// Forgets all tokens from `position` on, and says how many are left: all before it, or none
    /// where a layer with a window has let go of what the next token would see.
    pub fn rewind(&mut self, position: usize) -> usize {
        let position = position.min(self.position);
        let there = self.cache.reaches(&self.model.config, position, self.written);
        self.position = if there { position } else { 0 };
        if self.position == 0 {
            self.written = 0;
        }
        self.position
    }

    /// Bytes of the cache on the device.
    pub fn cache_bytes(&self) -> u64 {
        self.cache.bytes()
    }

    /// Bytes of all that is on the device for this conversation, the model included.
    fn held(&self) -> u64 {
        let activations = self.activations.values().map(|act| act.bytes()).sum::<u64>();
        self.model.bytes() + self.cache.bytes() + activations + self.logits.bytes() + self.beside
    }

    fn activations(&mut self, tokens: usize) -> Result<Arc<Activations>> {
        let room = tokens.next_power_of_two();
        if let Some(known) = self.activations.get(&room) {
            return Ok(Arc::clone(known));
        }
        let made = Arc::new(Activations::new(&self.device, &self.model, room, self.room.cache)?);
        self.activations.insert(room, Arc::clone(&made));
        Ok(made)
    }

    /// Checks that a conversation of `tokens` tokens fits the context.
    ///
    /// # Errors
    /// When it does not, with both lengths.
    pub fn fits(&self, tokens: usize) -> Result<()> {
        if tokens <= self.context {
            return Ok(());
        }
        let (limit, longest) = (self.context, self.model.config.max_context);
        Err(Error::ContextFull { needed: tokens, limit, longest })
    }

    /// Makes room for `more` tokens, doubling the cache as needed.
    fn reserve(&mut self, more: usize) -> Result<()> {
        let needed = self.position + more;
        self.fits(needed)?;
        if needed > self.cache.capacity {
            let capacity = SessionOptions::grown(self.cache.capacity, needed, self.context);
            let (config, old) = (&self.model.config, &self.cache.layers);
            if let Device::Gpu(gpu) = &self.device {
                let more = self.room.bytes_apart(config, capacity, self.cache.capacity);
                let what = format!("the model and a cache grown to {capacity} tokens");
                gpu.refuse_beyond(self.held(), more, &what)?;
            }
            let larger =
                Cache::grown(&self.device, config, capacity, self.context, &self.room, old)?;
            larger.take_over(&self.device, &mut self.host, &self.cache);
            self.cache = larger;
            self.steps.clear();
        }
        Ok(())
    }

    /// The recording of a step of `tokens` tokens.
    ///
    /// # Errors
    /// When the device cannot hold its activations.
    pub fn recording(&mut self, tokens: usize, want: LogitsMode) -> Result<Recording> {
        Ok(self.step(tokens, want)?.compiled.recording.clone())
    }

    /// Dispatches that a step of `tokens` tokens takes, its kernel calls where there is no device.
    ///
    /// # Errors
    /// When the device cannot hold its activations.
    pub fn dispatches(&mut self, tokens: usize, want: LogitsMode) -> Result<usize> {
        Ok(self.step(tokens, want)?.compiled.dispatches())
    }

    fn step(&mut self, tokens: usize, want: LogitsMode) -> Result<&mut Step> {
        if !self.steps.contains_key(&(tokens, want)) {
            let act = self.activations(tokens)?;
            let logits = match want {
                LogitsMode::Nothing | LogitsMode::Last => self.logits.clone(),
                LogitsMode::All => Tensor::zeros(
                    &self.device,
                    "all logits",
                    &[tokens, self.logits.dim(1)],
                    Element::F32,
                )?,
            };
            let mut pass = Pass::new(&self.model, &self.cache, &act, &self.step, tokens);
            pass.layers();
            match want {
                LogitsMode::Nothing => {}
                LogitsMode::Last => {
                    pass.logits(tokens - 1..tokens, &logits);
                    pass.argmax(&logits, &self.chosen);
                }
                LogitsMode::All => pass.logits(0..tokens, &logits),
            }
            let compiled = if tokens == 1 && want == LogitsMode::Last {
                let state = [self.chosen.clone(), self.step.clone()];
                Compiled::repeated(&self.device, pass.finish(), &state, MOST_STEPS)?
            } else {
                Compiled::new(&self.device, pass.finish())?
            };
            self.steps.insert((tokens, want), Step { compiled, logits, warm: false });
        }
        self.steps
            .get_mut(&(tokens, want))
            .ok_or_else(|| Error::Internal("a compiled step is missing"))
    }

    /// Compiles what reading `tokens` tokens and writing after them takes, as far as the driver
    /// allows before it is used: best done while the weights are not there yet, for compilers take
    /// memory.
    ///
    /// # Errors
    /// When the device cannot hold the activations, or a kernel does not compile.
    pub fn compile(&mut self, tokens: usize) -> Result<()> {
        let chunk = self.room.chunk;
        let last = tokens.max(1) - 1;
        let mut steps = vec![(last % chunk + 1, LogitsMode::Last), (1, LogitsMode::Last)];
        if last >= chunk {
            steps.push((chunk, LogitsMode::Nothing));
        }
        for (tokens, want) in steps {
            let compiled = Arc::clone(&self.step(tokens, want)?.compiled);
            if let Device::Gpu(gpu) = &self.device {
                compiled.warm_up(gpu)?;
            }
        }
        Ok(())
    }

    fn write_words(&mut self, tensor: &Tensor, words: &[u32]) {
        if let Device::Gpu(gpu) = &self.device {
            let mut padded = words.to_vec();
            padded.resize(words.len().next_multiple_of(4), 0);
            tensor.write(gpu, 0, bytemuck::cast_slice(&padded));
        }
        self.host.u32_mut(tensor)[..words.len()].copy_from_slice(words);
    }

    fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let vocabulary = self.model.config.vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocabulary) {
            Some(&id) => Err(Error::InvalidToken { id, vocab_size: vocabulary }),
            None => Ok(()),
        }
    }

    /// Makes room for a step of `ids` and writes them and its position.
    fn place_step(&mut self, ids: &[u32]) -> Result<()> {
        self.reserve(ids.len())?;
        self.written = self.written.max(self.position + ids.len());
        let act = self.activations(ids.len())?;
        self.write_words(&act.ids, ids);
        let (step, position) = (self.step.clone(), self.position as u32);
        self.write_words(&step, &[position]);
        Ok(())
    }

    /// Computes one step of at most a chunk's tokens without waiting for it.
    fn run(&mut self, ids: &[u32], want: LogitsMode) -> Result<()> {
        self.place_step(ids)?;
        let compiled = Arc::clone(&self.step(ids.len(), want)?.compiled);
        if self.profile.is_some() && matches!(self.device, Device::Gpu(_)) {
            self.run_profiled(ids, want)?;
            self.advanced(ids.len(), &compiled);
            return Ok(());
        }
        self.advance(ids.len(), &compiled)
    }

    /// Reads ids, in chunks; `progress` is told how many have been submitted. The logits of the
    /// last and the greedy choice are then at hand.
    ///
    /// # Errors
    /// When the context is full, an id is unknown, or the device fails.
    pub fn prefill(&mut self, ids: &[u32], mut progress: impl FnMut(usize)) -> Result<()> {
        self.check_ids(ids)?;
        if ids.is_empty() {
            return Err(Error::input("the prompt has no tokens"));
        }
        self.reserve(ids.len())?;
        let mut done = 0;
        for chunk in ids.chunks(self.room.chunk) {
            done += chunk.len();
            if done < ids.len() {
                self.prefill_without_logits(chunk)?;
            } else {
                self.run(chunk, LogitsMode::Last)?;
            }
            progress(done);
        }
        Ok(())
    }

    /// Reads ids after which nobody wants logits, in chunks, and waits for them.
    ///
    /// # Errors
    /// When the context is full, an id is unknown, or the device fails.
    pub fn prefill_without_logits(&mut self, ids: &[u32]) -> Result<()> {
        self.check_ids(ids)?;
        for chunk in ids.chunks(self.room.chunk) {
            self.run(chunk, LogitsMode::Nothing)?;
            self.wait()?;
        }
        Ok(())
    }

    fn wait(&self) -> Result<()> {
        match &self.device {
            Device::Gpu(gpu) => gpu.wait(),
            Device::Reference => Ok(()),
        }
    }
}
