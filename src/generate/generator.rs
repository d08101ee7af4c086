//! The generator: a runner and a tokenizer, with the ids that the cache holds.

use super::answer::Answer;
use super::decoding::Decoding;
use crate::model::Runner;
use crate::sample::{Chain, Likelihoods, Sampler, SamplerSettings};
use crate::text::Tokenizer;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What is asked of an answer.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How ids are chosen.
    pub sampling: SamplerSettings,
    /// The steps by which ids are chosen, in place of those that `sampling` asks for, whose seed
    /// still counts. `sampling.chain().append(…)` adds one to those.
    pub chain: Option<Chain>,
    /// Texts that end the answer and are not part of it.
    pub stop: Vec<String>,
    /// Most ids; `None` for as many as the context holds.
    pub max_tokens: Option<usize>,
    /// Compute every step through the references too, and fail at the first kernel that parts from
    /// its own.
    pub check: bool,
    /// Say of each id how likely it was, and which so many ids were the likeliest. Their logits
    /// leave the device for it.
    pub logprobs: Option<usize>,
}

/// What happens while an answer is made.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Event<'a> {
    /// `done` of `total` tokens of the prompt have been read.
    Prompt {
        /// Tokens read.
        done: usize,
        /// Tokens to read.
        total: usize,
    },
    /// The next piece of the answer: whole characters, never part of a stop string.
    Text(&'a str),
    /// The next id of the answer, after the text that it completes.
    Token {
        /// The id.
        id: u32,
        /// How likely the model held it to be, before temperature, penalties and biases; where it
        /// is asked for.
        likelihoods: Option<&'a Likelihoods>,
    },
}

/// Makes answers, and keeps what it computed for the next one.
pub struct Generator {
    runner: Runner,
    tokenizer: Arc<Tokenizer>,
    /// The ids whose keys and values are in the runner's cache.
    cached: Vec<u32>,
    interrupt: Arc<AtomicBool>,
}

// A server moves them between threads.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Generator>();
    is_send::<crate::model::Scorer>();
    is_send::<crate::model::Embedder>();
};

impl Generator {
    /// A generator that begins with an empty cache.
    pub fn new(mut runner: Runner, tokenizer: Arc<Tokenizer>) -> Self {
        runner.rewind(0);
        Self { runner, tokenizer, cached: vec![], interrupt: Arc::default() }
    }

    /// Set to true, this flag ends the answer that is being made; it is cleared when the next one
    /// begins.
    pub fn interrupt(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.interrupt)
    }

    /// Forgets what was computed, so that the next answer is made as the first one.
    pub fn forget_all(&mut self) {
        self.forget(0);
    }

    /// The runner.
    pub fn runner(&mut self) -> &mut Runner {
        &mut self.runner
    }

    /// The runner, for another generator to take.
    pub fn into_runner(self) -> Runner {
        self.runner
    }

    /// The tokenizer.
    pub fn tokenizer(&self) -> &Arc<Tokenizer> {
        &self.tokenizer
    }

    /// Answers `prompt`. Of the prompt, only what the cache does not hold already is computed.
    /// `on_event` hears of progress and text; an error of it ends the answer and is returned.
    ///
    /// # Errors
    /// When the prompt is empty or exceeds the context, settings are out of range, the device
    /// fails, or a check does.
    pub fn answer(
        &mut self,
        prompt: &[u32],
        options: &Options,
        mut on_event: impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<Answer> {
        let mut decoding = self.begin(prompt, options)?;
        while decoding.advance(self, &mut on_event)? {}
        decoding.finish(self, on_event)
    }

    /// Begins the answer to `prompt`, which is then made step by step: see [`Decoding`].
    ///
    /// # Errors
    /// When the prompt is empty or exceeds the context, or settings are out of range.
    pub fn begin(&mut self, prompt: &[u32], options: &Options) -> Result<Decoding> {
        Decoding::new(self, prompt, options)
    }

    /// Has another flag end answers, instead of the generator's own.
    pub fn set_interrupt(&mut self, interrupt: Arc<AtomicBool>) {
        self.interrupt = interrupt;
    }

    pub(super) fn is_interrupted(&self) -> bool {
        self.interrupt.load(Ordering::Relaxed)
    }

    /// Rewinds to what the cache and `prompt` have in common, and gives its length. The last token
    /// of the prompt is always computed, for its logits.
    pub(super) fn reuse(&mut self, prompt: &[u32]) -> usize {
        let common = self.cached.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        self.forget(common.min(prompt.len().saturating_sub(1)))
    }

    /// Keeps the first `from` tokens, or none where they cannot be gone back to, and says how many.
    pub(super) fn forget(&mut self, from: usize) -> usize {
        let kept = self.runner.rewind(from.min(self.cached.len()));
        self.cached.truncate(kept);
        kept
    }

    /// Computes the step of `ids`; its logits and greedy choice are then at hand.
    pub(super) fn compute(&mut self, ids: &[u32], check: bool) -> Result<()> {
        let before = self.cached.len();
        self.keep(ids, |runner| match check {
            false => runner.prefill(ids, |_| ()),
            true => runner.check(ids).and_then(|divergence| match divergence {
                None => Ok(()),
                Some(divergence) => Err(Error::Mismatch(format!(
                    "at token {before} the device parts from the reference: {divergence}"
                ))),
            }),
        })
    }

    /// Reads `ids` of a prompt that goes on after them. It waits for the device, so that progress
    /// and interrupts are about what is done.
    pub(super) fn read_on(&mut self, ids: &[u32]) -> Result<()> {
        self.keep(ids, |runner| runner.prefill_without_logits(ids))
    }

    /// Checks that `more` tokens fit the context after those of the cache.
    pub(super) fn fits(&self, more: usize) -> Result<()> {
        self.runner.fits(self.cached.len() + more)
    }

    /// Has `ids` computed, and remembers them if that succeeds.
    fn keep(&mut self, ids: &[u32], compute: impl FnOnce(&mut Runner) -> Result<()>) -> Result<()> {
        let computed = compute(&mut self.runner);
        match &computed {
            Ok(()) => self.cached.extend(ids),
            Err(_) => {
                self.forget(self.cached.len());
            }
        }
        computed
    }

    pub(super) fn decode_greedy(&mut self, last: u32, steps: usize) -> Result<Vec<u32>> {
        match self.runner.decode_greedy(steps) {
            Ok(choices) => {
                self.cached.push(last);
                self.cached.extend(&choices[..choices.len() - 1]);
                Ok(choices)
            }
            Err(error) => {
                self.forget(self.cached.len());
                Err(error)
            }
        }
    }

    /// The next id, and how likely it and the `logprobs` likeliest are, if that is asked for.
    pub(super) fn choose(
        &mut self,
        sampler: Option<&mut Sampler>,
        history: &[u32],
        logprobs: Option<usize>,
    ) -> Result<(u32, Option<Likelihoods>)> {
        let plain = logprobs.map(|_| self.runner.last_logits()).transpose()?;
        let id = match sampler {
            None => self.runner.greedy()?,
            Some(sampler) => {
                let mut logits = plain.clone().map_or_else(|| self.runner.last_logits(), Ok)?;
                sampler.sample(&mut logits, history)?
            }
        };
        Ok((
            id,
            plain.zip(logprobs).and_then(|(logits, count)| Likelihoods::new(&logits, id, count)),
        ))
    }
}
