//! Data as tokens on the device: which of them are learned, and where sequences begin.

use super::data::Data;
use super::example::READ;
use crate::error::Remedy;
use crate::kernels::SampleBatch;
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Error, Result};

/// Most sequences of an evaluation, taken evenly.
const EVALUATED: usize = 64;

/// Tokens, and sequences of them.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Token ids, as [`crate::train::Trainer::of`] takes them.
    pub words: Vec<u32>,
    /// Tokens of a sequence.
    pub context: usize,
    /// How many of its places, the last ones, may have something to learn.
    pub kept: usize,
    /// Where sequences to learn begin.
    pub training: Vec<u32>,
    /// Where those begin that are kept for evaluation; may be none.
    pub validation: Vec<u32>,
    /// Tokens of the data.
    pub tokens: usize,
    /// Examples that were left out, for they are too long.
    pub skipped: usize,
}

/// How long examples may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// The context, if it was asked for.
    pub context: Option<usize>,
    /// Most tokens of it otherwise.
    pub longest: usize,
    /// Leave out what is longer, instead of refusing it.
    pub skip_long: bool,
}

fn evenly(all: Vec<u32>) -> Vec<u32> {
    let step = all.len().div_ceil(EVALUATED).max(1);
    all.into_iter().step_by(step).collect()
}

impl Dataset {
    /// A text cut into sequences; its last `validation` is kept for evaluation.
    ///
    /// # Errors
    /// When it is too short.
    pub fn text(words: Vec<u32>, context: usize, validation: f64) -> Result<Self> {
        let tokens = words.len();
        let split = ((tokens as f64 * (1.0 - validation)) as usize).min(tokens);
        let evaluated = if validation > 0.0 { context + 1 } else { 0 };
        if split <= 2 * context || tokens - split < evaluated {
            return Err(Error::data(format!(
                "the text has {tokens} tokens; learning and evaluation need at least {} and {evaluated}",
                2 * context + 1,
            )));
        }
        // Sequences begin half a context apart, so that what begins one stands in the middle of
        // another.
        let training =
            (0..split - context).step_by(context.div_ceil(2)).map(|start| start as u32).collect();
        let rest =
            (split..tokens.saturating_sub(context)).step_by(context).map(|start| start as u32);
        let validation = evenly(rest.collect());
        Ok(Self { words, context, kept: context, training, validation, tokens, skipped: 0 })
    }

    /// Examples, each a sequence of its own, filled up with nothing; the last `validation` of them
    /// are kept for evaluation. The longest decides on the context, unless `lengths` do.
    ///
    /// # Errors
    /// When one cannot be rendered, or is too long.
    pub fn examples(
        data: &Data,
        tokenizer: &Tokenizer,
        template: Option<&ChatTemplate>,
        lengths: Lengths,
        validation: f64,
    ) -> Result<Self> {
        let examples = data.examples().unwrap_or_default();
        let all = examples.iter().map(|example| example.words(tokenizer, template));
        let mut all: Vec<Vec<u32>> = all.collect::<Result<_>>()?;
        let Lengths { context, longest, skip_long } = lengths;
        let limit = context.unwrap_or(longest);
        let is_long = |words: &Vec<u32>| words.len() > limit + 1;
        let before = all.len();
        if skip_long {
            all.retain(|words| !is_long(words));
        } else if let Some((example, words)) =
            examples.iter().zip(&all).find(|(_, words)| is_long(words))
        {
            let (place, tokens) = (example.place(), words.len());
            let message =
                format!("{place} has {tokens} tokens, more than a context of {limit}; shorten it");
            return Err(Error::data(message).with_remedy(Remedy::SkipLongExamples));
        }
        let skipped = before - all.len();
        if all.is_empty() && skipped > 0 {
            let message =
                format!("all {skipped} examples are longer than a context of {limit} tokens");
            return Err(Error::data(message));
        }
        let longest = all.iter().map(Vec::len).max().unwrap_or(0);
        if longest < 2 {
            return Err(Error::data("the files have no examples"));
        }
        let context = context.unwrap_or_else(|| (longest - 1).next_multiple_of(4));
        // The place before the first that is learned predicts it.
        let first = |words: &Vec<u32>| words.iter().position(|word| word & READ == 0).unwrap_or(0);
        let unlearned = all.iter().map(first).min().unwrap_or(0).saturating_sub(1);
        let tokens = all.iter().map(Vec::len).sum();
        let mut words = Vec::with_capacity(all.len() * (context + 1));
        let mut starts = vec![];
        for example in all {
            starts.push(words.len() as u32);
            words.extend(example);
            words.resize(starts.len() * (context + 1), SampleBatch::NONE);
        }
        let split = starts.len() - (starts.len() as f64 * validation) as usize;
        let validation = evenly(starts.split_off(split));
        Ok(Self {
            words,
            context,
            kept: context - unlearned,
            training: starts,
            validation,
            tokens,
            skipped,
        })
    }
}
