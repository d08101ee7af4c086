//! Running a model: token ids in, logits or greedy choices out, on the device or through the
//! references.

mod check;
mod compiled;
mod decode;
mod embedder;
mod memory;
mod meter;
mod results;
mod scorer;
mod sequence;
mod step_cache;

use self::compiled::{Compiled, Target};
use self::memory::Memory;
use self::meter::Meter;
use self::sequence::Sequence;
use self::step_cache::{ActivationPool, StepCache};
use super::counters::Counters;
use super::forward::{Activations, Pass};
use super::state::{MOST_STEPS, SessionOptions};
use super::weights::Weights;
use crate::gpu::{Device, Element, Recording, Tensor};
use crate::{Error, Result};
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

/// A step that was recorded before.
struct Step {
    compiled: Arc<Compiled>,
    logits: Tensor,
    /// Run before, so that a profile does not time its compilation.
    warm: bool,
}

/// What the host writes before a step, and reads after it.
struct StepIo {
    /// Word 0: position of the step's first token.
    position: Tensor,
    /// The greedy choice, which is the id that the next step of one token reads.
    chosen: Tensor,
    /// Logits of the last token `[1, V]`.
    logits: Tensor,
}

/// A model with a conversation's state.
pub struct Runner {
    model: Arc<Weights>,
    memory: Memory,
    sequence: Sequence,
    activations: ActivationPool,
    steps: StepCache<(usize, LogitsMode), Step>,
    io: StepIo,
    meter: Meter,
    /// Bytes on the device that whoever owns this runner holds besides.
    held_elsewhere: u64,
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
        let options = SessionOptions { context, expected, ..SessionOptions::default() };
        Self::with_room(device, model, options)
    }

    /// An empty conversation.
    ///
    /// # Errors
    /// When the context exceeds the model's own or the device's memory.
    pub fn with_room(
        device: &Device,
        model: &Arc<Weights>,
        options: SessionOptions,
    ) -> Result<Self> {
        let sequence = Sequence::new(device, &model.config, options)?;
        let mut activations = ActivationPool::new(options.cache);
        let chosen = activations.get(device, model, 1)?.ids.clone();
        let vocabulary = model.config.vocab_size.next_multiple_of(4);
        let io = StepIo {
            position: Tensor::uniform(device, "step", 1)?,
            chosen,
            logits: Tensor::zeros(device, "logits", &[1, vocabulary], Element::F32)?,
        };
        Ok(Self {
            model: Arc::clone(model),
            memory: Memory::new(device),
            sequence,
            activations,
            steps: StepCache::new(),
            io,
            meter: Meter::new(matches!(device, Device::Gpu(_))),
            held_elsewhere: 0,
        })
    }

    /// The model.
    pub fn model(&self) -> &Weights {
        &self.model
    }

    /// Tokens in the cache.
    pub fn position(&self) -> usize {
        self.sequence.position()
    }

    /// Most tokens the conversation may have.
    pub fn context(&self) -> usize {
        self.sequence.context()
    }

    /// Most tokens of a prompt that one step computes.
    pub fn chunk(&self) -> usize {
        self.sequence.options.chunk
    }

    /// What was computed and transferred so far; checks and profiles do not count.
    pub fn counters(&self) -> Counters {
        self.meter.counters()
    }

    /// Forgets all tokens from `position` on, and says how many are left: all before it, or none
    /// where a layer with a window has let go of what the next token would see.
    pub fn rewind(&mut self, position: usize) -> usize {
        self.sequence.rewind(&self.model.config, position)
    }

    /// Bytes of the cache on the device.
    pub fn cache_bytes(&self) -> u64 {
        self.sequence.cache.bytes()
    }

    /// Checks that a conversation of `tokens` tokens fits the context.
    ///
    /// # Errors
    /// When it does not, with both lengths.
    pub fn fits(&self, tokens: usize) -> Result<()> {
        self.sequence.fits(&self.model.config, tokens)
    }

    /// Has the cache hold `more` tokens than there are.
    fn ensure_capacity(&mut self, more: usize) -> Result<()> {
        let Self { model, memory, sequence, activations, io, .. } = self;
        let apart = model.bytes() + activations.bytes() + io.logits.bytes() + self.held_elsewhere;
        let held = |sequence: &Sequence| apart + sequence.cache.bytes();
        sequence.ensure_capacity(&memory.device, &mut memory.host, &model.config, more, held)
    }

    /// The activations of a step of `tokens` tokens.
    fn activations(&mut self, tokens: usize) -> Result<Arc<Activations>> {
        self.activations.get(&self.memory.device, &self.model, tokens)
    }

    /// A step of `tokens` tokens in the making.
    fn pass<'a>(&'a self, activations: &'a Activations, tokens: usize) -> Pass<'a> {
        Pass::new(&self.model, &self.sequence.cache, activations, &self.io.position, tokens)
    }

    /// The recording of a step of `tokens` tokens.
    ///
    /// # Errors
    /// When the device cannot hold its activations.
    pub fn recording(&mut self, tokens: usize, mode: LogitsMode) -> Result<Recording> {
        Ok(self.step(tokens, mode)?.compiled.recording.clone())
    }

    /// Dispatches that a step of `tokens` tokens takes, its kernel calls where there is no device.
    ///
    /// # Errors
    /// When the device cannot hold its activations.
    pub fn dispatches(&mut self, tokens: usize, mode: LogitsMode) -> Result<usize> {
        Ok(self.step(tokens, mode)?.compiled.dispatches())
    }

    /// The step of `tokens` tokens, compiled now if it was not before.
    fn step(&mut self, tokens: usize, mode: LogitsMode) -> Result<&mut Step> {
        let activations = self.activations(tokens)?;
        let Self { model, memory: Memory { device, .. }, sequence, steps, io, .. } = self;
        let cache = &sequence.cache;
        let compile = || {
            let mut pass = Pass::new(model, cache, &activations, &io.position, tokens);
            pass.layers();
            let mut logits = io.logits.clone();
            match mode {
                LogitsMode::Nothing => {}
                LogitsMode::Last => {
                    pass.logits(tokens - 1..tokens, &logits);
                    pass.argmax(&logits, &io.chosen);
                }
                LogitsMode::All => {
                    let shape = [tokens, logits.dim(1)];
                    logits = Tensor::zeros(device, "all logits", &shape, Element::F32)?;
                    pass.logits(0..tokens, &logits);
                }
            }
            let compiled = if tokens == 1 && mode == LogitsMode::Last {
                let state = [io.chosen.clone(), io.position.clone()];
                Compiled::repeated(device, pass.finish(), &state, MOST_STEPS)?
            } else {
                Compiled::new(device, pass.finish())?
            };
            Ok(Step { compiled, logits, warm: false })
        };
        steps.get(cache.capacity, (tokens, mode), compile)
    }

    /// Compiles what reading `tokens` tokens and writing after them takes, as far as the driver
    /// allows before it is used: best done while the weights are not there yet, for compilers take
    /// memory.
    ///
    /// # Errors
    /// When the device cannot hold the activations, or a kernel does not compile.
    pub fn compile(&mut self, tokens: usize) -> Result<()> {
        let chunk = self.chunk();
        let last = tokens.max(1) - 1;
        let mut steps = vec![(last % chunk + 1, LogitsMode::Last), (1, LogitsMode::Last)];
        if last >= chunk {
            steps.push((chunk, LogitsMode::Nothing));
        }
        for (tokens, mode) in steps {
            self.step(tokens, mode)?.compiled.warm_up()?;
        }
        Ok(())
    }

    fn check_ids(&self, ids: &[u32]) -> Result<()> {
        let vocabulary = self.model.config.vocab_size;
        match ids.iter().find(|&&id| id as usize >= vocabulary) {
            Some(&id) => Err(Error::InvalidToken { id, vocab_size: vocabulary }),
            None => Ok(()),
        }
    }

    /// Writes the ids of a step and its position, for which the cache then has room.
    fn write_inputs(&mut self, ids: &[u32]) -> Result<()> {
        self.ensure_capacity(ids.len())?;
        self.sequence.begin_step(ids.len());
        let activations = self.activations(ids.len())?;
        self.memory.write(&activations.ids, ids);
        self.memory.write(&self.io.position, &[self.sequence.position() as u32]);
        Ok(())
    }

    /// Runs a step of `tokens` tokens, whose inputs are written. A program is not waited for.
    ///
    /// # Errors
    /// When the device fails, or a choice is no token.
    fn run(&mut self, tokens: usize, step: &Compiled) -> Result<()> {
        match &step.target {
            Target::Reference => step.recording.run_reference(&mut self.memory.host),
            Target::Program(gpu, program) => program.run(gpu),
            Target::Executor(gpu, executor) => {
                let ran = executor.run_one(gpu)?;
                return self.end_steps(1, &ran).map(|_| ());
            }
        }
        self.end_step(tokens, step);
        Ok(())
    }

    /// Counts a step that was run call by call.
    fn end_step(&mut self, tokens: usize, step: &Compiled) {
        self.meter.count_steps(tokens, step.recording.entries().len(), 1);
        self.sequence.end_step(tokens);
    }

    /// Computes one step of at most a chunk's tokens; of many tokens without waiting for it.
    fn run_step(&mut self, ids: &[u32], mode: LogitsMode) -> Result<()> {
        self.write_inputs(ids)?;
        let compiled = Arc::clone(&self.step(ids.len(), mode)?.compiled);
        if self.meter.profile.is_none() || matches!(compiled.target, Target::Reference) {
            return self.run(ids.len(), &compiled);
        }
        self.run_profiled(ids, mode)?;
        self.end_step(ids.len(), &compiled);
        Ok(())
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
        self.ensure_capacity(ids.len())?;
        let mut done = 0;
        for chunk in ids.chunks(self.chunk()) {
            done += chunk.len();
            if done < ids.len() {
                self.prefill_without_logits(chunk)?;
            } else {
                self.run_step(chunk, LogitsMode::Last)?;
            }
            progress(done);
        }
        Ok(())
    }

    /// Reads ids after which no logits are needed, in chunks, and waits for them.
    ///
    /// # Errors
    /// When the context is full, an id is unknown, or the device fails.
    pub fn prefill_without_logits(&mut self, ids: &[u32]) -> Result<()> {
        self.check_ids(ids)?;
        for chunk in ids.chunks(self.chunk()) {
            self.run_step(chunk, LogitsMode::Nothing)?;
            self.memory.wait()?;
        }
        Ok(())
    }
}
