//! An answer that is being made, step by step.

use super::answer::{Answer, FinishReason};
use super::decode_batching::DecodeBatching;
use super::generator::{Event, Generator, Options};
use super::writer::Writer;
use crate::model::Counters;
use crate::platform::Instant;
use crate::sample::Sampler;
use crate::{Error, Result};
use std::sync::Arc;

/// An answer that [`Generator::begin`] began. [`Decoding::advance`] computes the next submission
/// of it, and [`Decoding::finish`] gives what came of it, at the end or before. One that is dropped
/// leaves the generator ready for the next prompt.
pub struct Decoding {
    options: Options,
    writer: Writer,
    sampler: Option<Sampler>,
    batching: DecodeBatching,
    /// The prompt, and the ids chosen since.
    history: Vec<u32>,
    /// Tokens of the prompt.
    prompt: usize,
    /// Tokens of the prompt that were in the cache.
    reused: usize,
    /// Tokens of the prompt that are in the cache now.
    read: usize,
    /// Ids to choose at most.
    limit: usize,
    ended: Option<FinishReason>,
    start: Instant,
    before: Counters,
    /// When the first id was chosen, and what had been computed then.
    first: Option<(Instant, Counters)>,
}

impl Decoding {
    pub(super) fn new(
        generator: &mut Generator,
        prompt: &[u32],
        options: &Options,
    ) -> Result<Self> {
        let chain = options.chain.clone().unwrap_or_else(|| options.sampling.chain());
        chain.validate(generator.runner().model().config.vocab_size)?;
        generator.interrupt().store(false, std::sync::atomic::Ordering::Relaxed);
        let writer = Writer::new(Arc::clone(generator.tokenizer()), options.stop.clone())?;
        let seed = options.sampling.seed;
        let sampler = chain.needs_logits().then(|| Sampler::with(chain, seed));
        let (start, before) = (Instant::now(), generator.runner().counters());
        let reused = generator.reuse(prompt);
        if prompt.is_empty() {
            return Err(Error::input("the prompt has no tokens"));
        }
        generator.fits(prompt.len() - reused)?;
        // The last id need not fit into the context: nothing is computed from it.
        let room = generator.runner().context() + 1 - prompt.len();
        Ok(Self {
            options: options.clone(),
            writer,
            sampler,
            batching: DecodeBatching::new(),
            history: prompt.to_vec(),
            prompt: prompt.len(),
            reused,
            read: reused,
            limit: options.max_tokens.unwrap_or(room).min(room),
            ended: None,
            start,
            before,
            first: None,
        })
    }

    /// Reads the next tokens of the prompt, or chooses the next ids; `on_event` hears of both. False
    /// once the answer has ended.
    ///
    /// # Errors
    /// When the device fails, a check does, or `on_event`.
    pub fn advance(
        &mut self,
        generator: &mut Generator,
        mut on_event: impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<bool> {
        if self.ended.is_none() {
            let next = if self.read < self.prompt {
                self.read(generator, &mut on_event)
            } else {
                self.write(generator, &mut on_event)
            };
            if next.is_err() {
                self.ended = Some(FinishReason::Interrupted);
            }
            next?;
        }
        Ok(self.ended.is_none())
    }

    /// Reads a piece of the prompt, and with the last of them chooses the first id.
    fn read(
        &mut self,
        generator: &mut Generator,
        on_event: &mut impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        let total = self.prompt - self.reused;
        on_event(Event::Prompt { done: self.read - self.reused, total })?;
        if generator.is_interrupted() {
            self.ended = Some(FinishReason::Interrupted);
            return Ok(());
        }
        let end = self.prompt.min(self.read + generator.runner().chunk());
        let piece = &self.history[self.read..end];
        if end < self.prompt && !self.options.check {
            generator.read_on(piece)?;
        } else {
            generator.compute(piece, self.options.check)?;
        }
        self.read = end;
        if end == self.prompt {
            on_event(Event::Prompt { done: total, total })?;
            let (first, likelihoods) =
                generator.choose(self.sampler.as_mut(), &self.history, self.options.logprobs)?;
            self.first = Some((Instant::now(), generator.runner().counters()));
            self.take(generator, &[first], likelihoods.as_ref(), on_event)?;
        }
        Ok(())
    }

    /// Computes and chooses the next ids: several in one submission where the likeliest are taken.
    fn write(
        &mut self,
        generator: &mut Generator,
        on_event: &mut impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        if generator.is_interrupted() {
            self.ended = Some(FinishReason::Interrupted);
            return Ok(());
        }
        let last = self.history[self.history.len() - 1];
        let Options { check, logprobs, .. } = self.options;
        if self.sampler.is_none() && !check && logprobs.is_none() {
            let left = self.limit - (self.history.len() - self.prompt);
            let steps = self.batching.steps().min(left);
            let began = Instant::now();
            let choices = generator.decode_greedy(last, steps)?;
            self.batching.took(choices.len(), began.elapsed());
            return self.take(generator, &choices, None, on_event);
        }
        generator.compute(&[last], check)?;
        let (next, likelihoods) =
            generator.choose(self.sampler.as_mut(), &self.history, logprobs)?;
        self.take(generator, &[next], likelihoods.as_ref(), on_event)
    }

    /// Adds chosen ids to the answer, up to what ends it.
    fn take(
        &mut self,
        generator: &Generator,
        choices: &[u32],
        likelihoods: Option<&crate::sample::Likelihoods>,
        on_event: &mut impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        for &id in choices {
            self.history.push(id);
            let ends = generator.tokenizer().end_of_turn().contains(&id)
                || self.writer.push(id, |text| on_event(Event::Text(text)))?;
            on_event(Event::Token { id, likelihoods })?;
            if ends {
                self.ended = Some(FinishReason::Stop);
                break;
            }
            if self.history.len() - self.prompt >= self.limit {
                self.ended = Some(FinishReason::Length);
                break;
            }
        }
        Ok(())
    }

    /// What came of it: the whole answer, or what there is of one that has not ended, which counts
    /// as interrupted. `on_event` hears the text that was held back in case it became a stop string.
    ///
    /// # Errors
    /// Those of `on_event`.
    pub fn finish(
        mut self,
        generator: &mut Generator,
        mut on_event: impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<Answer> {
        // Steps beyond the end are forgotten.
        generator.forget(self.history.len());
        let after = generator.runner().counters();
        let (until, between) = self.first.unwrap_or((Instant::now(), after));
        Ok(Answer {
            ids: self.history.split_off(self.prompt),
            text: match self.first {
                Some(_) => self.writer.finish(|text| on_event(Event::Text(text)))?,
                None => String::new(),
            },
            finish_reason: self.ended.unwrap_or(FinishReason::Interrupted),
            reused: self.reused,
            first_token: self.first.map(|(when, _)| when),
            prefill_seconds: (until - self.start).as_secs_f64(),
            decode_seconds: self.first.map_or(0.0, |(when, _)| when.elapsed().as_secs_f64()),
            prefill: between - self.before,
            decode: after - between,
        })
    }
}
