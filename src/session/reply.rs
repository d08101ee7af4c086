//! An answer in a conversation, piece by piece.

use super::chat::{Chat, State, joined};
use crate::Result;
use crate::generate::{Answer, Decoding, Event, FinishReason, Options, PromptRoom, Snapshot};
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Largest number of tokens at the end of an answer that may hold an incomplete character.
const CUT: usize = 4;

/// The answer to a question: an iterator over its pieces of text, each made of whole characters. If
/// it is dropped before its end, the answer stays in the conversation as far as it was generated.
///
/// ```
/// let model = kaiwu::Model::load("tests/data/tiny/llama-f32")?;
/// let mut chat = model.chat().max_tokens(8);
/// let mut reply = chat.ask("What is gravity?")?;
/// while let Some(piece) = reply.next() {
///     print!("{}", piece?);
/// }
/// println!("{:?}", reply.answer().map(|answer| answer.finish_reason));
/// # Ok::<(), kaiwu::Error>(())
/// ```
pub struct Reply<'c> {
    chat: &'c mut Chat,
    /// The conversation before the question, to restore it after an error.
    earlier: Snapshot,
    room: PromptRoom,
    prompt_tokens: usize,
    /// Number of turns that left the context to make room for this answer.
    left: usize,
    decoding: Option<Decoding>,
    /// The answer as far as it was generated; it is complete at the end.
    answer: Option<Answer>,
    pending: VecDeque<String>,
}

impl<'c> Reply<'c> {
    pub(super) fn new(chat: &'c mut Chat, question: &str, instead: bool) -> Result<Self> {
        let most = chat.options.max_tokens;
        let State { generator, conversation } = chat.state()?;
        let earlier = conversation.snapshot();
        if instead {
            conversation.undo();
        }
        let tokenizer = Arc::clone(generator.tokenizer());
        let room = PromptRoom::new(generator.runner().context(), most);
        let asked = conversation.ask_within(&tokenizer, question, room);
        let prompt = match asked {
            Ok(prompt) => prompt,
            Err(error) => {
                conversation.restore(earlier);
                return Err(error);
            }
        };
        let mut reply = Self {
            chat,
            earlier,
            room,
            prompt_tokens: prompt.ids.len(),
            left: prompt.left,
            decoding: None,
            answer: None,
            pending: VecDeque::new(),
        };
        reply.decode(&prompt.ids, most)?;
        Ok(reply)
    }

    /// Begins to generate at most `most` tokens after `prompt`.
    fn decode(&mut self, prompt: &[u32], most: Option<usize>) -> Result<()> {
        let sampling = self.chat.options.sampling.for_answer(self.chat.answers);
        let options = Options { sampling, max_tokens: most, ..self.chat.options.clone() };
        let begun = self.chat.state()?.generator.begin(prompt, &options);
        self.decoding = Some(self.or_back(begun)?);
        Ok(())
    }

    /// Removes the question from the conversation if `found` is an error.
    fn or_back<T>(&mut self, found: Result<T>) -> Result<T> {
        if found.is_err() {
            self.decoding = None;
            self.take_back();
        }
        found
    }

    fn take_back(&mut self) {
        if let Ok(state) = self.chat.state() {
            state.conversation.restore(self.earlier.clone());
        }
    }

    /// Number of tokens in the prompt: the conversation and the question, as the template renders
    /// them.
    pub fn prompt_tokens(&self) -> usize {
        self.prompt_tokens
    }

    /// Number of turns, the oldest ones, that left the context to make room for this answer.
    pub fn turns_left(&self) -> usize {
        self.left
    }

    /// The complete answer with its statistics, once it has ended.
    pub fn answer(&self) -> Option<&Answer> {
        self.answer.as_ref().filter(|_| self.decoding.is_none())
    }

    /// Generates the rest, and returns the complete answer with its statistics.
    ///
    /// # Errors
    /// When the device or its memory fails; the question is then removed from the conversation.
    pub fn finish(mut self) -> Result<Answer> {
        self.run(|_| Ok(()))
    }

    /// Generates the rest. `on_event` is told of the prompt's progress, of text, and of ids; an
    /// error that it returns ends the answer and is returned.
    ///
    /// # Errors
    /// When the device or its memory fails, or `on_event` returns an error; the question is then
    /// removed from the conversation.
    pub fn run(&mut self, mut on_event: impl FnMut(Event<'_>) -> Result<()>) -> Result<Answer> {
        while self.advance(&mut on_event)? {}
        self.answer.clone().ok_or_else(super::ended_before)
    }

    /// Computes the next step, and returns false once the answer has ended.
    fn advance(&mut self, mut on_event: impl FnMut(Event<'_>) -> Result<()>) -> Result<bool> {
        let Some(mut decoding) = self.decoding.take() else { return Ok(false) };
        let stepped = decoding.advance(&mut self.chat.state()?.generator, &mut on_event);
        if self.or_back(stepped)? {
            self.decoding = Some(decoding);
            return Ok(true);
        }
        self.end(decoding, on_event)?;
        let goes_on = self.go_on();
        if self.or_back(goes_on)? {
            return Ok(true);
        }
        self.settle();
        Ok(false)
    }

    /// Appends the decoded text to the answer.
    fn end(
        &mut self,
        decoding: Decoding,
        on_event: impl FnMut(Event<'_>) -> Result<()>,
    ) -> Result<()> {
        let made = decoding.finish(&mut self.chat.state()?.generator, on_event);
        let made = self.or_back(made)?;
        self.chat.answers += 1;
        self.answer = Some(match self.answer.take() {
            Some(answer) => joined(answer, made),
            None => made,
        });
        Ok(())
    }

    /// Continues an answer that has filled the context, if there are older turns that can leave it.
    fn go_on(&mut self) -> Result<bool> {
        let most = self.chat.options.max_tokens;
        let Some(answer) = &mut self.answer else { return Ok(false) };
        if answer.finish_reason != FinishReason::Length
            || most.is_some_and(|most| answer.ids.len() >= most)
        {
            return Ok(false);
        }
        let State { generator, conversation } = self.chat.state()?;
        let tokenizer = Arc::clone(generator.tokenizer());
        // An incomplete character has to be generated again.
        let is_whole =
            |ids: &[u32]| tokenizer.decode(ids, true).trim_start() == answer.text.trim_start();
        let cut = (0..answer.ids.len().min(CUT))
            .find(|cut| is_whole(&answer.ids[..answer.ids.len() - cut]));
        let Some(cut) = cut else { return Ok(false) };
        let written = answer.ids.len() - cut;
        let Some(more) = conversation.make_room(&tokenizer, written, self.room)? else {
            return Ok(false);
        };
        answer.ids.truncate(written);
        self.left += more.left;
        let prompt = [&more.ids[..], &answer.ids].concat();
        self.decode(&prompt, most.map(|most| most - written))?;
        Ok(true)
    }

    /// Adds the answer to the conversation, or removes the question if there is no answer.
    fn settle(&mut self) {
        self.chat.cancel.flag().store(false, Ordering::Relaxed);
        match &self.answer {
            Some(answer) if !answer.ids.is_empty() => {
                if let Ok(State { generator, conversation }) = self.chat.state() {
                    let tokenizer = Arc::clone(generator.tokenizer());
                    conversation.answered(&tokenizer, answer);
                }
            }
            _ => self.take_back(),
        }
    }
}

impl Iterator for Reply<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(piece) = self.pending.pop_front() {
                return Some(Ok(piece));
            }
            let mut pieces = std::mem::take(&mut self.pending);
            let more = self.advance(|event| {
                if let Event::Text(text) = event {
                    pieces.push_back(text.to_owned());
                }
                Ok(())
            });
            self.pending = pieces;
            match more {
                Ok(more) if !more && self.pending.is_empty() => return None,
                Ok(_) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Drop for Reply<'_> {
    fn drop(&mut self) {
        if let Some(decoding) = self.decoding.take()
            && self.end(decoding, |_| Ok(())).is_ok()
        {
            self.settle();
        }
    }
}
