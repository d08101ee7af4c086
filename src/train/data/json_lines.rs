//! Reads and writes JSON lines: files with one JSON object per line.

use crate::error::Place;
use crate::files::write_whole;
use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

/// Writes each row as a JSON object on a line of its own.
///
/// # Errors
/// When the file cannot be written.
pub fn write_lines<R: Serialize>(path: &Path, rows: &[R]) -> Result<()> {
    let mut text = String::new();
    for row in rows {
        let line = serde_json::to_string(row);
        text.push_str(&line.map_err(|error| Error::damaged(path, error.to_string()))?);
        text.push('\n');
    }
    write_whole(path, text)
}

/// Reads the rows of a file of JSON lines. A last line without a newline was interrupted while it
/// was written, and is skipped if it is not a JSON object.
///
/// # Errors
/// When the file cannot be read, or a complete line is not a row.
pub fn read_lines<R: DeserializeOwned>(path: &Path) -> Result<Vec<R>> {
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let mut rows = vec![];
    for (number, line) in text.split_inclusive('\n').enumerate() {
        match serde_json::from_str(line) {
            Ok(row) => rows.push(row),
            Err(_) if !line.ends_with('\n') => break,
            Err(error) => {
                return Err(Error::damaged_at(path, Place::Line(number + 1), error.to_string()));
            }
        }
    }
    Ok(rows)
}
