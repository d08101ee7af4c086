//! An example to learn from: a line of JSON in one of the forms that data sets have, and the tokens
//! that it becomes.

use crate::text::{ChatTemplate, Message, Tokenizer};
use crate::{Error, Result};
use serde_json::{Map, Value};

/// A word of a sequence that is read, but not learned.
pub(in crate::train) const READ: u32 = 1 << 31;

/// What a line may look like, for messages.
const FORMS: &str = "{\"prompt\": …, \"response\" or \"completion\": …}, {\"messages\": [{\"role\": …, \"content\": …}, …]}, \
     {\"conversations\": [{\"from\": …, \"value\": …}, …]}, {\"instruction\": …, \"input\": …, \"output\": …} nor {\"text\": …}";

/// What is learned from, and where it is from.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    form: Form,
    /// Where it is from, for messages.
    place: String,
}

#[derive(Debug, Clone, PartialEq)]
enum Form {
    /// A conversation, of which the assistant's part is learned; a single pair needs no chat
    /// template.
    Chat { messages: Vec<Message>, is_pair: bool },
    /// A text, all of which is learned.
    Text(String),
}

impl Example {
    /// Reads line `number` of `file`. What else it has, such as sources or categories, is not
    /// looked at.
    ///
    /// # Errors
    /// When it is no JSON, is in none of the forms, or has nothing to learn.
    pub(in crate::train) fn parse(file: &str, number: usize, line: &str) -> Result<Self> {
        let place = format!("{file}: line {number}");
        let value = serde_json::from_str(line).map_err(|error| {
            let (text, column) = (error.to_string(), error.column());
            // The crate counts lines within the line.
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
        match has_nothing {
            true => Err(wrong("has no response to learn, or an empty one".into())),
            false => Ok(Self { form, place }),
        }
    }

    /// Where it is from.
    pub(in crate::train) fn place(&self) -> &str {
        &self.place
    }

    /// Its text, where it is nothing else.
    pub(in crate::train) fn text(&self) -> Option<&str> {
        match &self.form {
            Form::Text(text) => Some(text),
            Form::Chat { .. } => None,
        }
    }

    /// Its tokens as the model will see them: those that are not to be learned have the bit
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

/// A text and the token of its end, after what is only read.
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
        // The prompt is encoded alone, as it is when it is asked.
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
            // Some sets have lists of messages for both.
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

/// Messages as Hugging Face's sets have them, or as ShareGPT's do.
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
