//! JSON as models' files have it: Python's `json` writes `NaN` and `Infinity`, which JSON has no
//! words for.

use super::files;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::borrow::Cow;
use std::path::Path;

/// What Python writes for numbers that are none, the longest first.
const WORDS: [&str; 3] = ["-Infinity", "Infinity", "NaN"];

/// JSON as Python writes it, with texts such as `"NaN"` in place of numbers that are none: what
/// needs a number there can then say what it is instead.
pub fn with_words(bytes: &[u8]) -> Cow<'_, [u8]> {
    let (mut changed, mut copied) = (vec![], 0);
    let (mut at, mut within) = (0, false);
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if within => at += 1,
            b'"' => within = !within,
            b'N' | b'I' | b'-' if !within => {
                let rest = &bytes[at..];
                if let Some(word) = WORDS.iter().find(|word| rest.starts_with(word.as_bytes())) {
                    changed.extend_from_slice(&bytes[copied..at]);
                    changed.extend_from_slice(format!("\"{word}\"").as_bytes());
                    copied = at + word.len();
                    at = copied;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(bytes);
    }
    changed.extend_from_slice(&bytes[copied..]);
    Cow::Owned(changed)
}

/// A value of JSON, of the file at `path`.
///
/// # Errors
/// If the bytes are no JSON.
pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Value> {
    let strict = |bytes: &[u8]| serde_json::from_slice(bytes);
    strict(bytes)
        .or_else(|error| match with_words(bytes) {
            Cow::Owned(bytes) => strict(&bytes),
            Cow::Borrowed(_) => Err(error),
        })
        .map_err(|error| {
            Error::damaged(path, format!("is not sound JSON: {error}; fetch it again"))
        })
}

/// The object in the file at `path`.
///
/// # Errors
/// If it cannot be read or holds no JSON object.
pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>> {
    object(path, &files::read(path)?)
}

/// The object that these bytes of the file at `path` hold.
///
/// # Errors
/// If they are no JSON object.
pub(super) fn object(path: &Path, bytes: &[u8]) -> Result<Map<String, Value>> {
    match parse(path, bytes)? {
        Value::Object(object) => Ok(object),
        _ => Err(Error::damaged(path, "is JSON, but no object; fetch it again")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_that_are_none_become_texts() {
        let parsed =
            |text: &str| parse(Path::new("x"), text.as_bytes()).map_err(|error| error.to_string());
        let odd = r#"{"a": NaN, "b": [Infinity,-Infinity], "NaN": "Infinity \" NaN", "c": -1}"#;
        let found = parsed(odd).unwrap();
        let wanted = serde_json::json!({ "a": "NaN", "b": ["Infinity", "-Infinity"], "NaN": "Infinity \" NaN", "c": -1 });
        assert_eq!(found, wanted);
        // What is sound is left as it is, and what is damaged stays so.
        assert!(matches!(with_words(br#"{"NaN": "a\\"}"#), Cow::Borrowed(_)));
        for damaged in ["{NaN", "Nan", "{\"a\": Infinit}", "\"NaN", "-", ""] {
            assert!(parsed(damaged).is_err(), "{damaged}");
        }
    }
}
