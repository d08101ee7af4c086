//! The generator: a runner and a tokenizer, with the ids that the cache holds.

use super::answer::{Answer, FinishReason};
use super::decode_batching::DecodeBatching;
use super::writer::Writer;
use crate::model::Runner;
use crate::sample::{Likelihoods, Sampler, SamplerSettings};
use crate::text::Tokenizer;
use crate::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

/// Tokens of a prompt read between two looks at the interrupt flag.
const PIECE: usize = 256;

/// What is asked of an answer.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// How ids are chosen.
    pub sampling: SamplerSettings,
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
        options.sampling.validate(self.runner.model().config.vocab_size)?;
        self.interrupt.store(false, Ordering::Relaxed);
        let tokenizer = Arc::clone(&self.tokenizer);
        let mut writer = Writer::new(&tokenizer, options.stop.clone())?;
        let mut sampler =
            options.sampling.needs_logits().then(|| Sampler::new(options.sampling.clone()));

        let (start, before) = (Instant::now(), self.runner.counters());
        let reused = self.reuse(prompt);
        let mut history = prompt.to_vec();
        if !self.read(&prompt[reused..], options.check, &mut on_event)? {
            return Ok(Answer {
                ids: vec![],
                text: String::new(),
                finish_reason: FinishReason::Interrupted,
                reused,
                first_token: None,
                prefill_seconds: start.elapsed().as_secs_f64(),
                decode_seconds: 0.0,
                prefill: self.runner.counters() - before,
                decode: Default::default(),
            });
        }
        let (first, mut likelihoods) = self.choose(sampler.as_mut(), &history, options.logprobs)?;
        let mut choices = vec![first];
        let (first_token, between) = (Instant::now(), self.runner.counters());

        // The last id need not fit into the context: nothing is computed from it.
        let room = self.runner.context() + 1 - prompt.len();
        let limit = options.max_tokens.unwrap_or(room).min(room);
        let mut pace = DecodeBatching::new();
        let finish_reason = 'answer: loop {
            for id in choices {
                history.push(id);
                let ends = tokenizer.end_of_turn().contains(&id)
                    || writer.push(id, |text| on_event(Event::Text(text)))?;
                on_event(Event::Token { id, likelihoods: likelihoods.as_ref() })?;
                if ends {
                    break 'answer FinishReason::Stop;
                }
                if history.len() - prompt.len() >= limit {
                    break 'answer FinishReason::Length;
                }
            }
            if self.interrupt.load(Ordering::Relaxed) {
                break FinishReason::Interrupted;
            }
            let last = history[history.len() - 1];
            choices = if sampler.is_none() && !options.check && options.logprobs.is_none() {
                let steps = pace.steps().min(limit - (history.len() - prompt.len()));
                let began = Instant::now();
                let choices = self.decode_greedy(last, steps)?;
                pace.took(choices.len(), began.elapsed());
                choices
            } else {
                self.compute(&[last], options.check)?;
                let (next, how_likely) =
                    self.choose(sampler.as_mut(), &history, options.logprobs)?;
                likelihoods = how_likely;
                vec![next]
            };
        };
        // Steps beyond the end are forgotten.
        self.forget(history.len());
        let (decode_seconds, after) = (first_token.elapsed().as_secs_f64(), self.runner.counters());
        Ok(Answer {
            ids: history.split_off(prompt.len()),
            text: writer.finish(|text| on_event(Event::Text(text)))?,
            finish_reason,
            reused,
            first_token: Some(first_token),
            prefill_seconds: (first_token - start).as_secs_f64(),
            decode_seconds,
            prefill: between - before,
            decode: after - between,
        })
    }

    /// Rewinds to what the cache and `prompt` have in common, and gives its length. The last token
    /// of the prompt is always computed, for its logits.
    fn reuse(&mut self, prompt: &[u32]) -> usize {
        let common = self.cached.iter().zip(prompt).take_while(|(a, b)| a == b).count();
        self.forget(common.min(prompt.len().saturating_sub(1)))
    }

    /// Keeps the first `from` tokens, or none where they cannot be gone back to, and says how many.
    fn forget(&mut self, from: usize) -> usize {
        let kept = self.runner.rewind(from.min(self.cached.len()));
        self.cached.truncate(kept);
        kept
    }

    /// Reads the rest of a prompt. Says whether it came to its end, and was not interrupted.
    fn read(
        &mut self,
        rest: &[u32],
        check: bool,
        on_event: &mut impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<bool> {
        if rest.is_empty() {
            return Err(Error::input("the prompt has no tokens"));
        }
        self.runner.fits(self.cached.len() + rest.len())?;
        let (mut done, total) = (0, rest.len());
        for piece in rest.chunks(PIECE) {
            on_event(Event::Prompt { done, total })?;
            if self.interrupt.load(Ordering::Relaxed) {
                return Ok(false);
            }
            done += piece.len();
            if done < total && !check {
                // It waits for the device, so that progress and interrupts are about what is done.
                self.keep(piece, |runner| runner.prefill_without_logits(piece))?;
            } else {
                self.compute(piece, check)?;
            }
        }
        on_event(Event::Prompt { done, total })?;
        Ok(true)
    }

    /// Computes the step of `ids`; its logits and greedy choice are then at hand.
    fn compute(&mut self, ids: &[u32], check: bool) -> Result<()> {
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

    fn decode_greedy(&mut self, last: u32, steps: usize) -> Result<Vec<u32>> {
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
    fn choose(
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
