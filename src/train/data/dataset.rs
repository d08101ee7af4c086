//! Data as token ids for the device: which tokens are learned, and where sequences begin.

use super::data::Data;
use super::example::READ;
use crate::error::Remedy;
use crate::kernels::SampleBatch;
use crate::text::{ChatTemplate, Tokenizer};
use crate::{Error, Result};

/// Most sequences in an evaluation; they are chosen at even distances.
const EVALUATED: usize = 64;

/// Token ids, and the sequences into which they are divided.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// Token ids, with the top bit set on those that are read but not learned, as
    /// [`crate::train::Trainer::of`] takes them.
    pub words: Vec<u32>,
    /// Tokens in a sequence.
    pub context: usize,
    /// How many of a sequence's positions, counted from its end, may have targets.
    pub kept: usize,
    /// Index in `words` of the first token of each training sequence.
    pub training: Vec<u32>,
    /// Index in `words` of the first token of each evaluation sequence; may be empty.
    pub validation: Vec<u32>,
    /// Number of tokens in the data.
    pub tokens: usize,
    /// Number of examples that were left out because they are too long.
    pub skipped: usize,
}

/// Limits on the length of examples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// The context that the user asked for, if any.
    pub context: Option<usize>,
    /// Longest context that is chosen automatically, in tokens.
    pub longest: usize,
    /// Whether longer examples are left out instead of being an error.
    pub skip_long: bool,
}

fn evenly(all: Vec<u32>) -> Vec<u32> {
    let step = all.len().div_ceil(EVALUATED).max(1);
    all.into_iter().step_by(step).collect()
}

impl Dataset {
    /// Divides a text into sequences; the last `validation` of it is used for evaluation.
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
        // Sequences begin half a context apart, so that every sequence boundary lies in the middle
        // of another sequence.
        let training =
            (0..split - context).step_by(context.div_ceil(2)).map(|start| start as u32).collect();
        let rest =
            (split..tokens.saturating_sub(context)).step_by(context).map(|start| start as u32);
        let validation = evenly(rest.collect());
        Ok(Self { words, context, kept: context, training, validation, tokens, skipped: 0 })
    }

    /// Makes each example a sequence, padded to the context; the last `validation` of the examples
    /// is used for evaluation. The longest example decides the context, unless `lengths` gives it.
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
        // The position before the first learned token predicts it.
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
