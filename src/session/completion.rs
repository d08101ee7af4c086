//! Continuing a text.

use super::cancel::Cancel;
use super::model::Model;
use super::sampling::answer_options;
use crate::Result;
use crate::generate::{Answer, Decoding, Event, Generator, Options};
use std::collections::VecDeque;
use std::sync::Arc;

/// Default limit on the tokens of an answer.
const TOKENS: usize = 256;
/// Tokens that the cache initially has room for; it grows with an answer.
const EXPECTED: usize = 1024;

/// A prompt with options, ready to be continued: as a text ([`Completion::text`]), with its
/// statistics ([`Completion::answer`]), or piece by piece ([`Completion::pieces`]). By default it
/// takes the likeliest token at each step, and up to 256 of them.
///
/// ```
/// let model = kaiwu::Model::load("tests/data/tiny/llama-f32")?;
/// let completion = model.completion("The sky is").temperature(0.8).seed(7).max_tokens(12);
/// for piece in completion.pieces()? {
///     print!("{}", piece?);
/// }
/// # Ok::<(), kaiwu::Error>(())
/// ```
#[must_use = "nothing is computed before `text`, `answer` or `pieces`"]
pub struct Completion {
    model: Model,
    prompt: Prompt,
    options: Options,
    cancel: Cancel,
}

enum Prompt {
    Text(String),
    Ids(Vec<u32>),
}

impl Completion {
    pub(super) fn of_text(model: Model, text: String) -> Self {
        Self::new(model, Prompt::Text(text))
    }

    pub(super) fn of_ids(model: Model, ids: Vec<u32>) -> Self {
        Self::new(model, Prompt::Ids(ids))
    }

    fn new(model: Model, prompt: Prompt) -> Self {
        let options = Options { max_tokens: Some(TOKENS), ..Options::default() };
        Self { model, prompt, options, cancel: Cancel::default() }
    }

    answer_options!();

    /// A handle that ends the answer early.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// Generates the answer's text.
    ///
    /// # Errors
    /// When the prompt has no tokens or too many, an option is out of range, the model has no
    /// tokenizer, or the device fails.
    pub fn text(self) -> Result<String> {
        Ok(self.answer()?.text)
    }

    /// Generates the answer, with its ids, why it ended, and its statistics.
    ///
    /// # Errors
    /// When the prompt has no tokens or too many, an option is out of range, the model has no
    /// tokenizer, or the device fails.
    pub fn answer(self) -> Result<Answer> {
        self.answer_with(|_| Ok(()))
    }

    /// Generates the answer. `on_event` is told of the prompt's progress, of text, and of ids; an
    /// error that it returns ends the answer and is returned.
    ///
    /// # Errors
    /// When the prompt has no tokens or too many, an option is out of range, the model has no
    /// tokenizer, the device fails, or `on_event` returns an error.
    pub fn answer_with(self, on_event: impl FnMut(Event<'_>) -> Result<()>) -> Result<Answer> {
        let (model, mut generator, ids, options) = self.begun()?;
        let answer = generator.answer(&ids, &options, on_event);
        model.give_back(generator);
        answer
    }

    /// The answer's pieces of text, generated as they are taken.
    ///
    /// # Errors
    /// When the prompt has no tokens or too many, an option is out of range, or the model has no
    /// tokenizer.
    pub fn pieces(self) -> Result<Pieces> {
        let (model, mut generator, ids, options) = self.begun()?;
        match generator.begin(&ids, &options) {
            Ok(decoding) => Ok(Pieces {
                model,
                making: Some((generator, decoding)),
                pending: VecDeque::new(),
                answer: None,
            }),
            Err(error) => {
                model.give_back(generator);
                Err(error)
            }
        }
    }

    fn begun(self) -> Result<(Model, Generator, Vec<u32>, Options)> {
        let Self { model, prompt, options, cancel } = self;
        let ids = match prompt {
            Prompt::Text(text) => model.tokenizer()?.encode(&text, true)?,
            Prompt::Ids(ids) => ids,
        };
        let more = options.max_tokens.unwrap_or(EXPECTED).min(EXPECTED);
        let mut generator = model.generator(ids.len() + more)?;
        generator.set_interrupt(Arc::clone(cancel.flag()));
        Ok((model, generator, ids, options))
    }
}

/// The pieces of a text that is being generated, each made of whole characters. After the last
/// piece, [`Pieces::answer`] says why the text ended and what it took.
pub struct Pieces {
    model: Model,
    making: Option<(Generator, Decoding)>,
    pending: VecDeque<String>,
    answer: Option<Answer>,
}

impl Pieces {
    /// The complete answer with its statistics, once all pieces have been taken.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref()
    }

    /// Generates the rest, and returns the complete answer with its statistics.
    ///
    /// # Errors
    /// When the device fails.
    pub fn finish(mut self) -> Result<Answer> {
        while self.advance()? {}
        self.answer.take().ok_or_else(super::ended_before)
    }

    /// Computes the next step, and returns false once the answer has ended.
    fn advance(&mut self) -> Result<bool> {
        let Some((mut generator, mut decoding)) = self.making.take() else { return Ok(false) };
        let pending = &mut self.pending;
        let mut keep = |event: Event<'_>| {
            if let Event::Text(text) = event {
                pending.push_back(text.to_owned());
            }
            Ok(())
        };
        if decoding.advance(&mut generator, &mut keep)? {
            self.making = Some((generator, decoding));
            return Ok(true);
        }
        self.answer = Some(decoding.finish(&mut generator, keep)?);
        self.model.give_back(generator);
        Ok(false)
    }
}

impl Iterator for Pieces {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.pending.pop_front() {
                return Some(Ok(piece));
            }
            match self.advance() {
                Ok(more) if !more && self.pending.is_empty() => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        if let Some((generator, _)) = self.making.take() {
            self.model.give_back(generator);
        }
    }
}
