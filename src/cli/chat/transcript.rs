//! A conversation as a file: JSON of its messages and settings.

use super::settings::Settings;
use crate::cli::support::failure::{failed, usage};
use crate::text::Message;
use crate::{Error, Result};
use serde::Serialize;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

/// Larger files are no conversations.
const MOST_BYTES: u64 = 64 << 20;

/// What a file holds.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Transcript {
    /// The messages in turn.
    pub messages: Vec<Message>,
    /// The settings, where the file has some.
    pub settings: Settings,
}

#[derive(Serialize)]
struct Written<'a> {
    model: &'a str,
    messages: Vec<WrittenMessage<'a>>,
    settings: &'a Settings,
}

#[derive(Serialize)]
struct WrittenMessage<'a> {
    role: &'a str,
    content: &'a str,
}

/// The path that a person means: `~/` is the home folder.
pub(super) fn path(text: &str) -> PathBuf {
    let home = std::env::home_dir().filter(|home| !home.as_os_str().is_empty());
    match (text.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(text),
    }
}

/// Writes a conversation to `path`, over a file only with `replace`.
///
/// # Errors
/// When there is a file already, or it cannot be written.
pub(super) fn save(
    path: &Path,
    replace: bool,
    model: &str,
    messages: &[Message],
    settings: &Settings,
) -> Result<()> {
    let messages =
        messages.iter().map(|m| WrittenMessage { role: &m.role, content: &m.content }).collect();
    let written = Written { model, messages, settings };
    let text =
        serde_json::to_string_pretty(&written).map_err(|error| failed(format!("JSON: {error}")))?;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => usage(format!(
            "{} is there already and stays as it is; /save! {0} replaces it",
            path.display()
        )),
        _ => Error::io("write", path)(error),
    };
    if !replace {
        let mut file =
            OpenOptions::new().write(true).create_new(true).open(path).map_err(failed)?;
        return file.write_all((text + "\n").as_bytes()).map_err(failed);
    }
    // What is there is replaced whole or not at all; a link stays one, and so does what is no plain
    // file.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return fs::write(&target, text + "\n").map_err(failed);
    }
    let mut beside = target.clone().into_os_string();
    beside.push(format!(".{}.part", std::process::id()));
    let beside = PathBuf::from(beside);
    let done = fs::write(&beside, text + "\n").and_then(|()| fs::rename(&beside, &target));
    done.inspect_err(|_| {
        let _ = fs::remove_file(&beside);
    })
    .map_err(failed)
}

/// Reads what [`save`] wrote, or a list of messages with `role` and `content`, as many programs
/// keep them.
///
/// # Errors
/// When it cannot be read, or is something else.
pub(super) fn load(path: &Path) -> Result<Transcript> {
    let found = fs::metadata(path).map_err(Error::io("open", path))?;
    let wrong = |what: String| failed(format!("{}: {what}", path.display()));
    if !found.is_file() {
        return Err(wrong("is no plain file".into()));
    }
    if found.len() > MOST_BYTES {
        return Err(wrong(format!("has {} bytes, too many for a conversation", found.len())));
    }
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    parse(bytes).map_err(wrong)
}

fn parse(bytes: &[u8]) -> std::result::Result<Transcript, String> {
    let mut value: Value = serde_json::from_slice(bytes)
        .map_err(|error| format!("is damaged, or no JSON: {error}"))?;
    let settings = match value.get_mut("settings").map(Value::take) {
        None | Some(Value::Null) => Settings::default(),
        Some(settings) => {
            serde_json::from_value(settings).map_err(|error| format!("settings: {error}"))?
        }
    };
    let messages = match &value {
        Value::Array(messages) => Some(messages),
        value => value.get("messages").and_then(Value::as_array),
    };
    let messages = messages.ok_or("has no list of messages; it is not what /save writes")?;
    let text =
        |index: usize, message: &Value, name: &str| match message.get(name).and_then(Value::as_str)
        {
            Some(text) => Ok(text.to_owned()),
            None => Err(format!("message {} has no {name} that is a text", index + 1)),
        };
    let messages = messages.iter().enumerate().map(|(index, message)| {
        Ok(Message::new(text(index, message, "role")?, text(index, message, "content")?))
    });
    Ok(Transcript { messages: messages.collect::<std::result::Result<_, String>>()?, settings })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::Options;

    #[test]
    fn what_is_saved_comes_back_and_nothing_is_overwritten_unasked() {
        let folder = std::env::temp_dir().join(format!("kaiwu-transcript-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("talk.json");
        let mut options = Options::default();
        options.sampling.temperature = 0.8;
        let settings = Settings::of(&options, 2);
        let messages = vec![
            Message::new("system", "Be \"brief\"."),
            Message::new("user", "one\ntwo \u{1f600}"),
            Message::new("assistant", ""),
        ];
        save(&file, false, "m.gguf", &messages, &settings).unwrap();
        assert_eq!(
            load(&file).unwrap(),
            Transcript { messages: messages.clone(), settings: settings.clone() }
        );
        let text = fs::read_to_string(&file).unwrap();
        assert!(text.contains("\"temperature\": 0.8,"), "{text}");

        let refused = save(&file, false, "m.gguf", &[], &settings).unwrap_err().to_string();
        assert!(refused.contains("is there already") && refused.contains("/save! "), "{refused}");
        assert_eq!(fs::read_to_string(&file).unwrap(), text);
        save(&file, true, "m.gguf", &messages[..1], &settings).unwrap();
        assert_eq!(load(&file).unwrap().messages, messages[..1]);
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1);
        assert!(save(&folder.join("no/where.json"), false, "", &[], &settings).is_err());
        assert!(load(&folder).unwrap_err().to_string().contains("no plain file"));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn damaged_files_are_named_and_lists_of_messages_are_read() {
        let rows = [
            ("", "is damaged, or no JSON"),
            ("{\"messages\": [", "line 1 column"),
            ("{}", "no list of messages"),
            ("7", "no list of messages"),
            ("{\"messages\": {}}", "no list of messages"),
            ("[{\"role\": \"user\"}]", "message 1 has no content"),
            ("[{\"role\": \"user\", \"content\": \"a\"}, 3]", "message 2 has no role"),
            ("{\"messages\": [], \"settings\": {\"heat\": 1}}", "unknown field `heat`"),
            ("{\"messages\": [], \"settings\": {\"top_k\": -1}}", "settings: invalid value"),
        ];
        for (text, expected) in rows {
            let message = parse(text.as_bytes()).unwrap_err();
            assert!(message.contains(expected), "{text}: {message}");
        }
        let found = parse(b"[{\"role\": \"user\", \"content\": \"a\", \"name\": \"b\"}]").unwrap();
        assert_eq!(
            found,
            Transcript { messages: vec![Message::new("user", "a")], settings: Settings::default() }
        );
    }
}
