//! A conversation with a model.

use super::cancel::Cancel;
use super::model::Model;
use super::reply::Reply;
use super::sampling::{answer_options, random_seed};
use crate::Result;
use crate::generate::{Answer, Conversation, Generator, Options};
use crate::text::Message;
use std::sync::Arc;

/// Tokens that the cache initially has room for; it grows with the conversation.
const EXPECTED: usize = 1024;

/// A conversation: messages, options, and the cache of keys and values, which is kept between turns
/// so that only new tokens are computed. When the context is full the oldest turns are dropped, but
/// never the system message.
///
/// Tokens are sampled as the model's files recommend, with a new random seed each time, unless
/// options say otherwise. Each answer uses different random draws.
///
/// ```
/// let model = kaiwu::Model::load("tests/data/tiny/llama-f32")?;
/// let mut chat = model.chat().system("Be brief.").temperature(0.7).seed(1).max_tokens(8);
/// for piece in chat.ask("What is gravity?")? {
///     print!("{}", piece?);
/// }
/// let answer = chat.ask("And light?")?.finish()?;
/// println!("{:?} after {} tokens", answer.finish_reason, answer.ids.len());
/// # Ok::<(), kaiwu::Error>(())
/// ```
pub struct Chat {
    pub(super) model: Model,
    pub(super) options: Options,
    pub(super) cancel: Cancel,
    /// The system message at the beginning of the conversation.
    system: Option<String>,
    state: Option<State>,
    /// Number of answers so far, which selects the random draws of the next one.
    pub(super) answers: u64,
}

/// The state of a conversation that has begun.
pub(super) struct State {
    pub generator: Generator,
    pub conversation: Conversation,
}

impl Chat {
    pub(super) fn new(model: Model) -> Self {
        // Recommendations that cannot be read are reported when the conversation begins.
        let sampling = model.recommended().ok().flatten().unwrap_or_default();
        let mut options = Options { sampling, ..Options::default() };
        options.sampling.seed = random_seed();
        Self { model, options, cancel: Cancel::default(), system: None, state: None, answers: 0 }
    }

    /// Sets the system message at the beginning of the conversation.
    pub fn system(mut self, message: impl Into<String>) -> Self {
        self.system = Some(message.into());
        self
    }

    answer_options!();

    /// Asks a question. The answer is generated as its pieces are taken from the returned iterator;
    /// [`Reply::finish`] generates all of it. An answer that is abandoned before its end stays in
    /// the conversation as far as it was generated.
    ///
    /// # Errors
    /// When the model has no chat template or the template refuses the conversation, an option is
    /// out of range, or the question is too long for the context. The conversation is then as it
    /// was.
    pub fn ask(&mut self, question: &str) -> Result<Reply<'_>> {
        Reply::new(self, question, false)
    }

    /// Asks a question in place of the last one. If that fails, the last question and its answer
    /// stay.
    ///
    /// # Errors
    /// When the model has no chat template or the template refuses the conversation, an option is
    /// out of range, or the question is too long for the context. The conversation is then as it
    /// was.
    pub fn ask_instead(&mut self, question: &str) -> Result<Reply<'_>> {
        Reply::new(self, question, true)
    }

    /// Prepares the tokenizer, the template, and a cache. The first question does so if this was
    /// not called.
    ///
    /// # Errors
    /// When the model has no tokenizer or chat template, its files recommend settings that cannot
    /// be read, or the device's memory does not suffice.
    pub fn begin(&mut self) -> Result<()> {
        self.state().map(|_| ())
    }

    pub(super) fn state(&mut self) -> Result<&mut State> {
        if self.state.is_none() {
            self.model.recommended()?;
            let template = self.model.chat_template()?;
            let mut generator = self.model.generator(EXPECTED)?;
            generator.set_interrupt(Arc::clone(self.cancel.flag()));
            let conversation = Conversation::new(template, self.system.as_deref());
            self.state = Some(State { generator, conversation });
        }
        self.state.as_mut().ok_or_else(super::ended_before)
    }

    /// A handle that ends the answer being generated.
    pub fn cancel(&self) -> Cancel {
        self.cancel.clone()
    }

    /// The model that answers.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// All messages, including those that have left the context; none before the first question.
    pub fn messages(&self) -> &[Message] {
        self.state.as_ref().map_or(&[], |state| state.conversation.messages())
    }

    /// The system message, if there is one.
    pub fn system_message(&self) -> Option<&str> {
        let begun = self.state.as_ref().map(|state| state.conversation.system());
        begun.unwrap_or(self.system.as_deref())
    }

    /// Replaces the system message, or removes it.
    ///
    /// # Errors
    /// When the template refuses it; the previous one then stays.
    pub fn set_system(&mut self, message: Option<&str>) -> Result<()> {
        self.state()?.conversation.set_system(message)
    }

    /// Continues from these messages: an optional system message, then questions with one answer
    /// each.
    ///
    /// # Errors
    /// When the messages have another order, or the template refuses them; the conversation then
    /// stays as it was.
    pub fn set_messages(&mut self, messages: Vec<Message>) -> Result<()> {
        self.state()?.conversation.set_messages(messages)
    }

    /// Forgets all but the system message.
    pub fn reset(&mut self) {
        if let Some(state) = &mut self.state {
            state.conversation.reset();
        }
    }

    /// Removes the last question and its answer, and returns the question.
    pub fn undo(&mut self) -> Option<String> {
        self.state.as_mut()?.conversation.undo()
    }

    /// The number of questions with their answers, and how many of these turns have left the
    /// context.
    pub fn turns(&self) -> (usize, usize) {
        self.state.as_ref().map_or((0, 0), |state| state.conversation.turns())
    }

    /// Tokens of the context that are in use.
    ///
    /// # Errors
    /// When the model has no tokenizer or chat template, or the template refuses the conversation.
    pub fn tokens(&mut self) -> Result<usize> {
        let State { generator, conversation } = self.state()?;
        conversation.tokens(generator.tokenizer())
    }

    /// The options for the next answers.
    pub fn current_options(&self) -> &Options {
        &self.options
    }

    /// The options for the next answers, for changing them.
    pub fn options_mut(&mut self) -> &mut Options {
        &mut self.options
    }

    /// The number of answers so far. Together with the seed it determines the random draws of the
    /// next one.
    pub fn answers(&self) -> u64 {
        self.answers
    }

    /// Sets the number of answers so far, which determines the random draws of the next one.
    pub fn set_answers(&mut self, answers: u64) {
        self.answers = answers;
    }
}

impl Drop for Chat {
    fn drop(&mut self) {
        if let Some(state) = self.state.take() {
            self.model.give_back(state.generator);
        }
    }
}

/// Combines an answer that filled the context with its continuation.
pub(super) fn joined(mut answer: Answer, rest: Answer) -> Answer {
    answer.ids.extend(rest.ids);
    answer.text.push_str(&rest.text);
    answer.finish_reason = rest.finish_reason;
    answer.decode_seconds += rest.decode_seconds;
    answer
}
