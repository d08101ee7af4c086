//! A conversation's messages, and the ids of its prompt so far.

use super::answer::Answer;
use crate::text::{ChatTemplate, Message, Tokenizer};
use crate::{Error, Result};

/// Messages that become prompts. A prompt continues the ids of the one before wherever the template
/// lets it, so that only the new tokens need computing; encoding the whole text anew could split an
/// answer into other tokens.
pub struct Conversation {
    template: ChatTemplate,
    state: State,
}

/// All of a conversation but its template: what [`Conversation::restore`] goes back to.
#[derive(Clone)]
pub struct Snapshot(State);

#[derive(Clone, Default)]
struct State {
    messages: Vec<Message>,
    /// System messages, which are the first ones.
    first: usize,
    /// The prompts begin with the system messages and this one; those between them have left.
    start: usize,
    /// The prompt and answer so far.
    said: Said,
    /// Where prompts began before the last question, and the prompt and answer until there.
    before: Option<(usize, Said)>,
}

/// A text, and the ids of exactly that text.
#[derive(Clone, Default)]
struct Said {
    text: String,
    ids: Vec<u32>,
}

/// What a prompt has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptRoom {
    /// Tokens of prompt and answer together.
    pub context: usize,
    /// Where the prompt leaves less than this to the answer, the oldest turns leave.
    pub answer: usize,
    /// They leave until the prompt leaves as much as this, so that not every question makes the
    /// prompts begin elsewhere, which costs reading them anew.
    pub spare: usize,
}

impl PromptRoom {
    /// The room of a context of `context` tokens, for answers of `most` tokens at most.
    pub fn new(context: usize, most: Option<usize>) -> Self {
        let most = most.unwrap_or(usize::MAX);
        Self { context, answer: most.min(context / 8).max(1), spare: (context / 4).max(1) }
    }

    /// The longest prompt that leaves `left` tokens. The last token of an answer takes no room in
    /// the context.
    fn longest(self, left: usize) -> usize {
        (self.context + 1).saturating_sub(left)
    }
}

/// A prompt that a question gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    /// Its tokens.
    pub ids: Vec<u32>,
    /// Turns that left for it: the oldest ones.
    pub left: usize,
}

impl Conversation {
    /// An empty conversation, with a system message if there is one.
    pub fn new(template: ChatTemplate, system: Option<&str>) -> Self {
        let messages: Vec<_> =
            system.map(|content| Message::new("system", content)).into_iter().collect();
        let first = messages.len();
        Self { template, state: State { messages, first, start: first, ..State::default() } }
    }

    /// The messages, with those that have left the prompts.
    pub fn messages(&self) -> &[Message] {
        &self.state.messages
    }

    /// The system message.
    pub fn system(&self) -> Option<&str> {
        self.state.messages[..self.state.first].first().map(|message| message.content.as_str())
    }

    /// Questions with their answers, and how many of these turns have left the prompts.
    pub fn turns(&self) -> (usize, usize) {
        let questions =
            |messages: &[Message]| messages.iter().filter(|message| message.role == "user").count();
        let State { messages, first, start, .. } = &self.state;
        (questions(messages), questions(&messages[*first..*start]))
    }

    /// Forgets all but the system message.
    pub fn reset(&mut self) {
        let State { mut messages, first, .. } = std::mem::take(&mut self.state);
        messages.truncate(first);
        self.state = State { messages, first, start: first, ..State::default() };
    }

    /// All as it is now.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot(self.state.clone())
    }

    /// All as it was.
    pub fn restore(&mut self, snapshot: Snapshot) {
        self.state = snapshot.0;
    }

    /// Gives the conversation another system message, or none.
    ///
    /// # Errors
    /// When the template refuses it; the one before stays.
    pub fn set_system(&mut self, content: Option<&str>) -> Result<()> {
        let system = content.map(|content| Message::new("system", content));
        let probe: Vec<_> = system.iter().cloned().chain([Message::new("user", "?")]).collect();
        self.template.render(&probe, true)?;
        let State { messages, first, start, .. } = std::mem::take(&mut self.state);
        let start = start - first + usize::from(system.is_some());
        let first_now = usize::from(system.is_some());
        let messages = system.into_iter().chain(messages.into_iter().skip(first)).collect();
        self.state = State { messages, first: first_now, start, ..State::default() };
        Ok(())
    }

    /// Goes on from these messages: a system message or none, and questions with an answer each.
    ///
    /// # Errors
    /// When they are others, or the template refuses them; the conversation stays as it was.
    pub fn set_messages(&mut self, messages: Vec<Message>) -> Result<()> {
        let first = usize::from(messages.first().is_some_and(|message| message.role == "system"));
        for (index, message) in messages.iter().enumerate().skip(first) {
            let expected = if (index - first) % 2 == 0 { "user" } else { "assistant" };
            if message.role != expected {
                return Err(Error::ChatTemplate(format!(
                    "message {} is of the role {:?} where {expected:?} is expected: a system message may come first, then \
                     user and assistant take turns",
                    index + 1,
                    message.role
                )));
            }
        }
        if (messages.len() - first) % 2 == 1 {
            return Err(Error::ChatTemplate(
                "the last message is a question without an answer".into(),
            ));
        }
        if messages.len() > first {
            self.template.render(&messages, false)?;
        }
        self.state = State { messages, first, start: first, ..State::default() };
        Ok(())
    }

    /// Adds a user's message and gives the prompt for the answer. [`Self::answered`] or
    /// [`Self::unanswered`] follows.
    ///
    /// # Errors
    /// When the template refuses the conversation.
    pub fn ask(&mut self, tokenizer: &Tokenizer, content: &str) -> Result<Vec<u32>> {
        let room = PromptRoom { context: usize::MAX - 1, answer: 1, spare: 1 };
        Ok(self.ask_within(tokenizer, content, room)?.ids)
    }

    /// The same in a prompt that leaves room to the answer: the oldest turns leave where it would
    /// not. The system message stays, and so does the question, so that the prompt may still be too
    /// long.
    ///
    /// # Errors
    /// When the template refuses the conversation.
    pub fn ask_within(
        &mut self,
        tokenizer: &Tokenizer,
        content: &str,
        room: PromptRoom,
    ) -> Result<Prompt> {
        let start = self.state.start;
        self.state.messages.push(Message::new("user", content));
        let found = self.prompt(tokenizer, room);
        match found {
            Ok((prompt, text)) => {
                let said = Said { text, ids: prompt.ids.clone() };
                let before = std::mem::replace(&mut self.state.said, said);
                self.state.before = Some((start, before));
                Ok(prompt)
            }
            Err(error) => {
                self.state.messages.pop();
                self.state.start = start;
                Err(error)
            }
        }
    }

    /// The prompt and its text, without the oldest turns where they leave too little room.
    fn prompt(&mut self, tokenizer: &Tokenizer, room: PromptRoom) -> Result<(Prompt, String)> {
        let (ids, text) = self.whole_prompt(tokenizer)?;
        if ids.len() > room.longest(room.answer)
            && let Some(shortened) = self.shortened(tokenizer, room.longest(room.spare))?
        {
            return Ok(shortened);
        }
        Ok((Prompt { ids, left: 0 }, text))
    }

    /// The prompt and its text without the fewest of the oldest turns that make it as short as
    /// `longest`, or without all but the question. None where that is all there is.
    fn shortened(
        &mut self,
        tokenizer: &Tokenizer,
        longest: usize,
    ) -> Result<Option<(Prompt, String)>> {
        let messages = self.state.messages.iter().enumerate().skip(self.state.start);
        let starts: Vec<usize> = messages
            .filter(|(_, message)| message.role == "user")
            .map(|(index, _)| index)
            .collect();
        let (mut left, mut most) = (1, starts.len().saturating_sub(1));
        if most == 0 {
            return Ok(None);
        }
        let mut encoded = |left: usize| -> Result<(Vec<u32>, String)> {
            self.state.start = starts[left];
            let text = self.rendered(true)?;
            Ok((tokenizer.encode(&text, false)?, text))
        };
        while left < most {
            let middle = left.midpoint(most);
            match encoded(middle)?.0.len() <= longest {
                true => most = middle,
                false => left = middle + 1,
            }
        }
        let (ids, text) = encoded(left)?;
        Ok(Some((Prompt { ids, left }, text)))
    }

    /// The prompt of the question that is being answered once more, when the answer has filled the
    /// context with its `written` tokens: more of the oldest turns leave, so that it can go on.
    /// None where that makes no room.
    ///
    /// # Errors
    /// When the template refuses the conversation.
    pub fn make_room(
        &mut self,
        tokenizer: &Tokenizer,
        written: usize,
        room: PromptRoom,
    ) -> Result<Option<Prompt>> {
        let start = self.state.start;
        match self.shortened(tokenizer, room.longest(room.spare.saturating_add(written)))? {
            Some((prompt, text)) if prompt.ids.len() + written < room.context => {
                self.state.said = Said { text, ids: prompt.ids.clone() };
                Ok(Some(prompt))
            }
            _ => {
                self.state.start = start;
                Ok(None)
            }
        }
    }

    /// The text of what the prompts hold.
    fn rendered(&self, add_generation_prompt: bool) -> Result<String> {
        let State { messages, first, start, .. } = &self.state;
        let shown: Vec<Message> =
            messages[..*first].iter().chain(&messages[*start..]).cloned().collect();
        self.template.render(&shown, add_generation_prompt)
    }

    fn whole_prompt(&self, tokenizer: &Tokenizer) -> Result<(Vec<u32>, String)> {
        let (text, said) = (self.rendered(true)?, &self.state.said);
        let ids = match text.strip_prefix(&said.text) {
            Some(rest) if !said.ids.is_empty() => {
                let rest = tokenizer.encode(rest, false)?;
                let special = |id: Option<&u32>| id.is_some_and(|&id| tokenizer.is_special(id));
                // Text on both sides of the seam might have become one token.
                (special(said.ids.last()) || special(rest.first()))
                    .then(|| [&said.ids[..], &rest].concat())
            }
            _ => None,
        };
        let ids = match ids {
            Some(ids) => ids,
            None => tokenizer.encode(&text, false)?,
        };
        Ok((ids, text))
    }

    /// Tokens of what the next prompt begins with.
    ///
    /// # Errors
    /// When the template refuses the conversation.
    pub fn tokens(&self, tokenizer: &Tokenizer) -> Result<usize> {
        let State { messages, first, said, .. } = &self.state;
        if !said.ids.is_empty() {
            return Ok(said.ids.len());
        }
        // Templates refuse a conversation that has no question.
        if messages.len() == *first {
            return Ok(0);
        }
        Ok(tokenizer.encode(&self.rendered(false)?, false)?.len())
    }

    /// Adds the answer to the prompt that [`Self::ask`] gave.
    pub fn answered(&mut self, tokenizer: &Tokenizer, answer: &Answer) {
        let State { messages, said, .. } = &mut self.state;
        messages.push(Message::new("assistant", &answer.text));
        if tokenizer.decode(&answer.ids, true).trim_start() != answer.text.trim_start() {
            // A stop string or a character cut short: ids and text differ, so encode all next time.
            *said = Said::default();
            return;
        }
        said.ids.extend(&answer.ids);
        said.text.push_str(&answer.text);
        if let Some(end) = answer.ids.last().filter(|&&id| tokenizer.is_special(id)) {
            said.text.push_str(&tokenizer.token(*end).unwrap_or_default());
        }
    }

    /// Takes the user's message back: there was no answer.
    pub fn unanswered(&mut self) {
        self.state.messages.pop();
        self.go_back();
    }

    /// Takes the last question and its answer back, and gives the question.
    pub fn undo(&mut self) -> Option<String> {
        let State { messages, first, .. } = &mut self.state;
        if messages.len() < *first + 2 {
            return None;
        }
        messages.pop();
        let question = messages.pop()?.content;
        self.go_back();
        Some(question)
    }

    /// Prompts as before the last question. Of an earlier time only the messages are known.
    fn go_back(&mut self) {
        let state = &mut self.state;
        // Where nothing would be left of the prompts, they begin at the beginning, and lose what is
        // too much again.
        let start = if state.start < state.messages.len() { state.start } else { state.first };
        let unknown = (start, Said::default());
        (state.start, state.said) = state.before.take().unwrap_or(unknown);
    }
}
