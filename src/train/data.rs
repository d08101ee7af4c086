//! What a model learns from: plain text, or examples of prompts and the responses to them.

use crate::text::{ChatTemplate, Message, Tokenizer};
use crate::{Error, Result};
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A word of a sequence that is read, but not learned.
pub(super) const READ: u32 = 1 << 31;

/// Text, and the examples that it stands for where it is JSON lines.
pub struct Data {
    text: String,
    examples: Option<Vec<Example>>,
}

/// A conversation, of which the assistant's part is learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Example {
    messages: Vec<Message>,
    /// A prompt and a response, which need no chat template.
    plain: bool,
    /// Where it is from, for messages.
    place: String,
}

/// A line of JSON: `{"prompt": …, "response": …}` or `{"messages": [{"role": …, "content": …}, …]}`. What else it has, such
/// as sources or categories, is not looked at.
#[derive(Deserialize)]
#[serde(untagged)]
enum Line {
    Pair { prompt: String, response: String },
    Chat { messages: Vec<Said> },
}

#[derive(Deserialize)]
struct Said {
    role: String,
    content: String,
}

impl From<&str> for Data {
    /// Plain text.
    fn from(text: &str) -> Self {
        Self { text: text.into(), examples: None }
    }
}

impl Data {
    /// Reads files, one after another: all are plain text, or all are called `.jsonl` and have an example a line.
    ///
    /// # Errors
    /// When one cannot be read, is not UTF-8, or a line is no example.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        let is_jsonl = |path: &PathBuf| path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jsonl"));
        let examples = files.iter().filter(|path| is_jsonl(path)).count();
        if examples != 0 && examples != files.len() {
            return Err(Error::Usage("some files are .jsonl and some are not; give one kind".into()));
        }
        let mut data = Self { text: String::new(), examples: (examples != 0).then(Vec::new) };
        for path in files {
            let text = read(path)?;
            if let Some(examples) = &mut data.examples {
                for (number, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
                    examples.push(Example::parse(path, number + 1, line)?);
                }
            }
            data.text.push_str(&text);
        }
        Ok(data)
    }

    /// The text; of examples, their lines.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The examples, where it has such.
    pub fn examples(&self) -> Option<&[Example]> {
        self.examples.as_deref()
    }

    /// A number that tells texts apart (FNV-1a, 64 bits).
    pub(super) fn fingerprint(&self) -> u64 {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        self.text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
    }
}

/// A file's text, ended by a line's end.
fn read(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::format(path, format!("byte {at} is no UTF-8; convert it, for instance with iconv"))
    })?;
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}

impl Example {
    fn parse(path: &Path, number: usize, line: &str) -> Result<Self> {
        let wrong = |what: &str| Error::format(path, format!("line {number}: {what}"));
        let line: Line = serde_json::from_str(line).map_err(|_| {
            wrong("is neither {\"prompt\": …, \"response\": …} nor {\"messages\": [{\"role\": …, \"content\": …}, …]}")
        })?;
        let (messages, plain) = match line {
            Line::Pair { prompt, response } => {
                (vec![Message::new("user", prompt), Message::new("assistant", response)], true)
            }
            Line::Chat { messages } => {
                (messages.into_iter().map(|said| Message::new(said.role, said.content)).collect(), false)
            }
        };
        let answers = messages.iter().filter(|message| message.role == "assistant");
        if answers.clone().count() == 0 || answers.clone().any(|message| message.content.is_empty()) {
            return Err(wrong("has no response to learn, or an empty one"));
        }
        Ok(Self { messages, plain, place: format!("{}: line {number}", path.display()) })
    }

    /// Where it is from.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Its tokens as the model will see them: those that are not the assistant's have the bit [`READ`].
    ///
    /// # Errors
    /// When the template refuses the conversation, or there is none and it needs one.
    pub(super) fn words(&self, tokenizer: &Tokenizer, template: Option<&ChatTemplate>) -> Result<Vec<u32>> {
        let named = |error: Error| Error::Text(format!("{}: {error}", self.place));
        match template {
            Some(template) => self.by_template(tokenizer, template).map_err(named),
            None if self.plain => {
                let [prompt, response] = [0, 1].map(|at| self.messages[at].content.as_str());
                let mut words: Vec<u32> =
                    tokenizer.encode(prompt, true).map_err(named)?.into_iter().map(|id| id | READ).collect();
                words.extend(tokenizer.encode_plain(response).map_err(named)?);
                words.extend(tokenizer.eos());
                Ok(words)
            }
            None => {
                let message = "the model has no chat template; give prompt and response instead of messages";
                Err(named(Error::Text(message.into())))
            }
        }
    }

    fn by_template(&self, tokenizer: &Tokenizer, template: &ChatTemplate) -> Result<Vec<u32>> {
        let (mut words, mut done): (Vec<u32>, String) = (vec![], String::new());
        for (at, _) in self.messages.iter().enumerate().filter(|(_, message)| message.role == "assistant") {
            let before = template.render(&self.messages[..at], true)?;
            let after = template.render(&self.messages[..=at], false)?;
            let (asked, answer) = match (before.strip_prefix(&done), after.strip_prefix(&before)) {
                (Some(asked), Some(answer)) => (asked, answer.trim_end()),
                _ => {
                    let message = "the chat template writes earlier messages anew when later ones follow; give \
                                   examples of one prompt and one response";
                    return Err(Error::Text(message.into()));
                }
            };
            // The prompt is encoded alone, as it is when it is asked.
            words.extend(tokenizer.encode(asked, false)?.into_iter().map(|id| id | READ));
            words.extend(tokenizer.encode(answer, false)?);
            done = before.clone() + answer;
        }
        Ok(words)
    }
}
