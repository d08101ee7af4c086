//! Many prompts in one file, and what their tokens are.

use super::text_input::{Reading, at_line, name, whole};
use crate::Result;
use crate::cli::support::failure::usage;
use crate::session::ModelFile;
use crate::text::{ChatTemplate, Message};
use serde::Deserialize;
use std::cell::OnceCell;
use std::path::Path;

/// What a model is asked.
#[derive(Debug)]
pub(in crate::cli) enum Prompt {
    /// A text to go on with, or one message.
    Text(String),
    /// A conversation that the model answers.
    Messages(Vec<Message>),
}

/// A prompt and its line, counted from 0.
pub(in crate::cli) struct Numbered {
    pub line: usize,
    pub prompt: Prompt,
}

/// A line of JSON.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Line {
    Prompt { prompt: String },
    Messages { messages: Vec<Said> },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Said {
    role: String,
    content: String,
}

/// Reads prompts, one a line: texts, or JSON objects if the first line begins with a brace. `-` is
/// standard input.
pub(in crate::cli) fn read(path: &Path, reading: Reading) -> Result<Vec<Numbered>> {
    let all = whole(path)?;
    let numbered = all.lines().enumerate();
    let found: Result<Vec<Numbered>> = if all.trim_start().starts_with('{') {
        let filled = numbered.filter(|(_, text)| !text.trim().is_empty());
        let parse = |(line, text)| {
            Ok(Numbered { line, prompt: parse(text).map_err(|e| at_line(path, line, e))? })
        };
        filled.map(parse).collect()
    } else {
        let take = |(line, text)| {
            let text = reading.unescaped(text).map_err(|error| at_line(path, line, error))?;
            Ok(Numbered { line, prompt: Prompt::Text(text) })
        };
        numbered.map(take).collect()
    };
    found.and_then(|found| match found.is_empty() {
        true => Err(usage(format!("{} has no prompts; give one a line", name(path)))),
        false => Ok(found),
    })
}

fn parse(text: &str) -> Result<Prompt> {
    let value: serde_json::Value = serde_json::from_str(text).map_err(|error| {
        usage(format!(
            "{error}; where the first line begins with {{, each line is a JSON object such as {{\"prompt\": \"…\"}}"
        ))
    })?;
    match serde_json::from_value(value) {
        Ok(Line::Prompt { prompt }) => Ok(Prompt::Text(prompt)),
        Ok(Line::Messages { messages }) => {
            Ok(Prompt::Messages(messages.into_iter().map(|said| Message::new(said.role, said.content)).collect()))
        }
        Err(_) => Err(usage(
            "is neither {\"prompt\": \"…\"} nor {\"messages\": [{\"role\": \"user\", \"content\": \"…\"}, …]}, with \
             nothing else in it"
                .into(),
        )),
    }
}

/// Makes tokens of prompts.
pub(in crate::cli) struct Encoder<'a> {
    file: &'a ModelFile,
    chat: bool,
    system: Option<&'a str>,
    template: OnceCell<ChatTemplate>,
}

impl<'a> Encoder<'a> {
    /// With `chat`, a text is a message, after the `system` message if there is one.
    pub(in crate::cli) fn new(file: &'a ModelFile, chat: bool, system: Option<&'a str>) -> Self {
        Self { file, chat, system, template: OnceCell::new() }
    }

    /// The tokens of a prompt.
    pub(in crate::cli) fn encode(&self, prompt: &Prompt) -> Result<Vec<u32>> {
        match prompt {
            Prompt::Messages(messages) => self.conversation(messages),
            Prompt::Text(text) if self.chat => {
                let system = self.system.map(|content| Message::new("system", content));
                let messages: Vec<_> =
                    system.into_iter().chain([Message::new("user", text)]).collect();
                self.conversation(&messages)
            }
            Prompt::Text(text) => self.file.tokenizer()?.encode(text, true),
        }
    }

    fn conversation(&self, messages: &[Message]) -> Result<Vec<u32>> {
        let template = match self.template.get() {
            Some(template) => template,
            None => {
                let read = self.file.chat_template()?;
                self.template.get_or_init(|| read)
            }
        };
        self.file.tokenizer()?.encode(&template.render(messages, true)?, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_lines_are_prompts_or_conversations_and_nothing_else() {
        assert!(matches!(parse(r#"{"prompt": "a\nb"}"#), Ok(Prompt::Text(text)) if text == "a\nb"));
        let two = r#"{"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}"#;
        assert!(matches!(parse(two), Ok(Prompt::Messages(messages)) if messages.len() == 2));
        for (wrong, message) in [
            (r#"{"prompt": "a"#, "column"),
            (r#"{"prompt": 5}"#, "neither"),
            (r#"{"prompt": "a", "stop": "b"}"#, "neither"),
            (r#"{"messages": [{"role": "user"}]}"#, "neither"),
            ("[]", "neither"),
        ] {
            let found = parse(wrong).unwrap_err().to_string();
            assert!(found.contains(message), "{wrong}: {found}");
        }
    }
}
