//! A training example: a line of JSON in one of the forms that data sets use, and the tokens that
//! it becomes.

use crate::text::{ChatTemplate, Message, Tokenizer};
use crate::{Error, Result};
use serde_json::{Map, Value};

/// Bit of a token that is read but not learned.
pub(in crate::train) const READ: u32 = 1 << 31;

/// The supported forms of a line, for messages.
const FORMS: &str = "{\"prompt\": …, \"response\" or \"completion\": …}, {\"messages\": [{\"role\": …, \"content\": …}, …]}, \
     {\"conversations\": [{\"from\": …, \"value\": …}, …]}, {\"instruction\": …, \"input\": …, \"output\": …} nor {\"text\": …}";

/// One example, and the place in its file for messages.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    form: Form,
    /// File and line that it was read from, for messages.
    place: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// A conversation of which the assistant's messages are learned. A single prompt with its
    /// response needs no chat template.
    Chat { messages: Vec<Message>, is_pair: bool },
    /// A text, all of which is learned.
    Text(String),
}

impl Example {
    /// Reads line `number` of `file`. Additional fields, such as sources or categories, are
    /// ignored.
    ///
    /// # Errors
    /// When the line is not JSON, has none of the supported forms, or has nothing to learn.
    pub(in crate::train) fn parse(file: &str, number: usize, line: &str) -> Result<Self> {
        let place = format!("{file}: line {number}");
        let value = serde_json::from_str(line).map_err(|error| {
            let (text, column) = (error.to_string(), error.column());
            // serde_json counts lines within this one line; its position would mislead.
            let why = text.rsplit_once(" at line ").map_or(&*text, |(why, _)| why);
            Error::data(format!("{place}, column {column}: is no JSON: {why}"))
        })?;
        let wrong = |what: String| Error::data(format!("{place}: {what}"));
        let form = match value {
            Value::Object(line) => Form::new(&line).map_err(wrong)?,
            _ => return Err(wrong("is no JSON object; each line is an example of its own".into())),
        };
        let has_nothing = match &form {
            Form::Text(text) => text.is_empty(),
            Form::Chat { messages, .. } => {
                let mut answers =
                    messages.iter().filter(|message| message.role == "assistant").peekable();
                answers.peek().is_none() || answers.any(|message| message.content.is_empty())
            }
        };
        if has_nothing {
            Err(wrong("has no response to learn, or an empty one".into()))
        } else {
            Ok(Self { form, place })
        }
    }

    /// File and line that the example was read from.
    pub(in crate::train) fn place(&self) -> &str {
        &self.place
    }

    /// The text, if the example is a plain text.
    pub(in crate::train) fn text(&self) -> Option<&str> {
        match &self.form {
            Form::Text(text) => Some(text),
            Form::Chat { .. } => None,
        }
    }

    /// The example's tokens as the model sees them. Tokens that are not learned have the bit
    /// [`READ`].
    ///
    /// # Errors
    /// When the template refuses the conversation, or there is none and it needs one.
    pub(in crate::train) fn words(
        &self,
        tokenizer: &Tokenizer,
        template: Option<&ChatTemplate>,
    ) -> Result<Vec<u32>> {
        let words = match (&self.form, template) {
            (Form::Text(text), _) => learned(tokenizer, vec![], text, true),
            (Form::Chat { messages, .. }, Some(template)) => {
                by_template(messages, tokenizer, template)
            }
            (Form::Chat { messages, is_pair: true }, None) => {
                let asked = tokenizer.encode(&messages[0].content, true);
                asked.and_then(|asked| learned(tokenizer, asked, &messages[1].content, false))
            }
            (Form::Chat { is_pair: false, .. }, None) => {
                let message =
                    "the model has no chat template; give prompt and response instead of messages";
                Err(Error::data(message))
            }
        };
        words.map_err(|error| Error::data(format!("{}: {error}", self.place)))
    }
}

/// The tokens of `text` and of the end of text, after the tokens that are only `read`.
fn learned(tokenizer: &Tokenizer, read: Vec<u32>, text: &str, is_first: bool) -> Result<Vec<u32>> {
    let mut words: Vec<u32> = read.into_iter().map(|id| id | READ).collect();
    words.extend(if is_first {
        tokenizer.encode(text, true)
    } else {
        tokenizer.encode_plain(text)
    }?);
    words.extend(tokenizer.eos());
    Ok(words)
}

fn by_template(
    messages: &[Message],
    tokenizer: &Tokenizer,
    template: &ChatTemplate,
) -> Result<Vec<u32>> {
    let (mut words, mut done): (Vec<u32>, String) = (vec![], String::new());
    for (at, _) in messages.iter().enumerate().filter(|(_, message)| message.role == "assistant") {
        let before = template.render(&messages[..at], true)?;
        let after = template.render(&messages[..=at], false)?;
        let (asked, answer) = match (before.strip_prefix(&done), after.strip_prefix(&before)) {
            (Some(asked), Some(answer)) => (asked, answer.trim_end()),
            _ => {
                let message = "the chat template writes earlier messages anew when later ones follow; give \
                               examples of one prompt and one response";
                return Err(Error::data(message));
            }
        };
        // The prompt is encoded separately, as it is when the model is used.
        words.extend(tokenizer.encode(asked, false)?.into_iter().map(|id| id | READ));
        words.extend(tokenizer.encode(answer, false)?);
        done = before.clone() + answer;
    }
    Ok(words)
}

impl Form {
    fn new(line: &Map<String, Value>) -> std::result::Result<Self, String> {
        let has = |key: &str| line.contains_key(key);
        let first = |keys: &[&'static str]| keys.iter().copied().find(|key| has(key));
        if let Some(key) = first(&["messages", "conversations"]) {
            return Ok(Self::Chat { messages: messages(line, key)?, is_pair: false });
        }
        if let (true, Some(answer)) = (has("prompt"), first(&["response", "completion"])) {
            // Some data sets have lists of messages for both prompt and response.
            if line["prompt"].is_array() {
                let messages = [messages(line, "prompt")?, messages(line, answer)?].concat();
                return Ok(Self::Chat { messages, is_pair: false });
            }
            return Ok(Self::pair(text(line, "prompt")?.into(), text(line, answer)?));
        }
        if let (true, Some(answer)) = (has("instruction"), first(&["output", "response"])) {
            let mut asked = text(line, "instruction")?.to_owned();
            if let Some(key) = first(&["input", "context"]) {
                let beside = text(line, key)?;
                if !beside.is_empty() {
                    asked = format!("{asked}\n\n{beside}");
                }
            }
            return Ok(Self::pair(asked, text(line, answer)?));
        }
        if has("text") {
            return Ok(Self::Text(text(line, "text")?.into()));
        }
        let keys: Vec<&str> = line.keys().map(String::as_str).collect();
        Err(format!(
            "is neither {FORMS}; it has {}",
            if keys.is_empty() { "nothing".into() } else { keys.join(", ") }
        ))
    }

    fn pair(prompt: String, response: &str) -> Self {
        let messages = vec![Message::new("user", prompt), Message::new("assistant", response)];
        Self::Chat { messages, is_pair: true }
    }
}

fn text<'a>(line: &'a Map<String, Value>, key: &str) -> std::result::Result<&'a str, String> {
    line.get(key).and_then(Value::as_str).ok_or_else(|| format!("its {key} is no text"))
}

/// The messages of a line, in the form of Hugging Face data sets or of ShareGPT.
fn messages(line: &Map<String, Value>, key: &str) -> std::result::Result<Vec<Message>, String> {
    let list =
        line.get(key).and_then(Value::as_array).ok_or_else(|| format!("its {key} is no list"))?;
    let message = |(at, value): (usize, &Value)| {
        let said = |keys: [&str; 2]| {
            let found = keys.iter().find_map(|key| value.get(key));
            let [ours, theirs] = keys;
            found.and_then(Value::as_str).ok_or_else(|| {
                format!(
                    "message {} of its {key} has no text for \"{ours}\" or \"{theirs}\"",
                    at + 1
                )
            })
        };
        let role = match said(["role", "from"])? {
            "human" => "user",
            "gpt" | "chatgpt" | "bot" | "model" => "assistant",
            role => role,
        };
        Ok(Message::new(role, said(["content", "value"])?))
    };
    list.iter().enumerate().map(message).collect()
}
