//! A conversation's messages, and the ids of its prompt so far.

use super::answer::Answer;
use crate::Result;
use crate::text::{ChatTemplate, Message, Tokenizer};

/// Messages that become prompts. A prompt continues the ids of the one before wherever the template lets it, so that
/// only the new tokens need computing; encoding the whole text anew could split an answer into other tokens.
pub struct Conversation {
    template: ChatTemplate,
    messages: Vec<Message>,
    first: usize,
    /// The prompt and answer so far.
    said: Said,
    /// The same before the last question.
    before: Said,
}

/// A text, and the ids of exactly that text.
#[derive(Clone, Default)]
struct Said {
    text: String,
    ids: Vec<u32>,
}

impl Conversation {
    /// An empty conversation, with a system message if there is one.
    pub fn new(template: ChatTemplate, system: Option<&str>) -> Self {
        let messages: Vec<_> = system.map(|content| Message::new("system", content)).into_iter().collect();
        Self { template, first: messages.len(), messages, said: Said::default(), before: Said::default() }
    }

    /// The messages.
    pub fn messages(&self) -> &[Message] {
        &self.messages
    }

    /// Forgets all but the system message.
    pub fn reset(&mut self) {
        self.messages.truncate(self.first);
        self.said = Said::default();
    }

    /// Adds a user's message and gives the prompt for the answer. [`Self::answered`] or [`Self::unanswered`] follows.
    ///
    /// # Errors
    /// When the template refuses the conversation.
    pub fn ask(&mut self, tokenizer: &Tokenizer, content: &str) -> Result<Vec<u32>> {
        self.messages.push(Message::new("user", content));
        let prompt = self.prompt(tokenizer);
        if prompt.is_err() {
            self.messages.pop();
        }
        prompt
    }

    fn prompt(&mut self, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        let text = self.template.render(&self.messages, true)?;
        let ids = match text.strip_prefix(&self.said.text) {
            Some(rest) if !self.said.ids.is_empty() => {
                let rest = tokenizer.encode(rest, false)?;
                let special = |id: Option<&u32>| id.is_some_and(|&id| tokenizer.is_special(id));
                // Text on both sides of the seam might have become one token.
                (special(self.said.ids.last()) || special(rest.first()))
                    .then(|| [&self.said.ids[..], &rest].concat())
            }
            _ => None,
        };
        let ids = match ids {
            Some(ids) => ids,
            None => tokenizer.encode(&text, false)?,
        };
        self.before = std::mem::replace(&mut self.said, Said { text, ids: ids.clone() });
        Ok(ids)
    }

    /// Adds the answer to the prompt that [`Self::ask`] gave.
    pub fn answered(&mut self, tokenizer: &Tokenizer, answer: &Answer) {
        self.messages.push(Message::new("assistant", &answer.text));
        if tokenizer.decode(&answer.ids, true).trim_start() != answer.text.trim_start() {
            // A stop string or a character cut short: ids and text differ, so encode all next time.
            self.said = Said::default();
            return;
        }
        self.said.ids.extend(&answer.ids);
        self.said.text.push_str(&answer.text);
        if let Some(end) = answer.ids.last().filter(|&&id| tokenizer.is_special(id)) {
            self.said.text.push_str(&tokenizer.token(*end).unwrap_or_default());
        }
    }

    /// Takes the user's message back: there was no answer.
    pub fn unanswered(&mut self) {
        self.messages.pop();
        self.said = std::mem::take(&mut self.before);
    }
}
