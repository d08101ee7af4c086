//! Training data: plain text, or examples of prompts with their responses.

use super::example::Example;
use crate::error::Remedy;
use crate::files::Fnv;
use crate::{Error, Result};
use std::borrow::Cow;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The mark that some editors put at the beginning of a file.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// The file name that stands for standard input.
const STANDARD_INPUT: &str = "-";

/// Text, and its examples if the text is JSON lines.
pub struct Data {
    text: String,
    examples: Option<Vec<Example>>,
}

impl From<&str> for Data {
    /// Plain text.
    fn from(text: &str) -> Self {
        Self { text: text.into(), examples: None }
    }
}

impl Data {
    /// Reads files, one after another: all are plain text, or all are called `.jsonl` and have an
    /// example a line. `-` is standard input, which has examples if its first line is a JSON
    /// object.
    ///
    /// # Errors
    /// When one cannot be read, is not UTF-8, or a line is no example.
    pub fn read(files: &[PathBuf]) -> Result<Self> {
        if files.iter().filter(|path| is_standard_input(path)).count() > 1 {
            return Err(Error::input("standard input can be read once"));
        }
        let texts = files.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
        let is_jsonl = |(path, text): (&PathBuf, &String)| {
            if is_standard_input(path) {
                text.lines().next().is_some_and(is_object)
            } else {
                path.extension().is_some_and(|end| end.eq_ignore_ascii_case("jsonl"))
            }
        };
        let examples = files.iter().zip(&texts).filter(|file| is_jsonl(*file)).count();
        if examples != 0 && examples != files.len() {
            return Err(Error::input("some files are .jsonl and some are not; give one kind"));
        }
        let mut data = Self { text: String::new(), examples: (examples != 0).then(Vec::new) };
        for (path, text) in files.iter().zip(&texts) {
            if let Some(examples) = &mut data.examples {
                let name = if is_standard_input(path) {
                    Cow::Borrowed("standard input")
                } else {
                    path.to_string_lossy()
                };
                for (number, line) in
                    text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty())
                {
                    examples.push(Example::parse(&name, number + 1, line)?);
                }
            }
            data.text.push_str(text);
        }
        Ok(data)
    }

    /// The text; for examples, the JSON lines that they were read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The examples, if the data has any.
    pub fn examples(&self) -> Option<&[Example]> {
        self.examples.as_deref()
    }

    /// All data as plain text, for models without a chat template: examples must be plain texts,
    /// which are joined by newlines.
    ///
    /// # Errors
    /// When an example is not a plain text.
    pub(in crate::train) fn plain(&self) -> Result<Cow<'_, str>> {
        let Some(examples) = &self.examples else { return Ok(Cow::Borrowed(&self.text)) };
        let mut all = String::new();
        for example in examples {
            let text = example.text().ok_or_else(|| {
                let place = example.place();
                let message = format!(
                    "a model from scratch learns plain text, and {place} is a conversation"
                );
                Error::data(message).with_remedy(Remedy::TuneModel)
            })?;
            all += text;
            all.push('\n');
        }
        Ok(Cow::Owned(all))
    }

    /// A hash of the text, by which a resumed run recognises its data.
    pub(in crate::train) fn fingerprint(&self) -> u64 {
        Fnv::of(self.text.as_bytes())
    }
}

fn is_standard_input(path: &Path) -> bool {
    path.as_os_str() == STANDARD_INPUT
}

fn is_object(line: &str) -> bool {
    serde_json::from_str::<serde_json::Map<_, _>>(line).is_ok()
}

/// The content of a file, ending with a newline and without a byte-order mark.
fn read(path: &Path) -> Result<String> {
    let bytes = if is_standard_input(path) {
        let mut bytes = vec![];
        let done = std::io::stdin().lock().read_to_end(&mut bytes);
        done.map(|_| bytes).map_err(Error::io("read", "standard input"))?
    } else {
        std::fs::read(path).map_err(Error::io("read", path))?
    };
    let mut text = String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Error::damaged(path, format!("byte {at} is no UTF-8; convert it, for instance with iconv"))
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.remove(0);
    }
    if !text.ends_with('\n') {
        text.push('\n');
    }
    Ok(text)
}
