//! The rows of a run: `metrics.jsonl`, a JSON object a line.

use crate::{Error, Result};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs;
use std::path::Path;

const NAME: &str = "metrics.jsonl";

/// Reads the rows in `folder` that are to be kept: those after the checkpoint are computed again.
///
/// # Errors
/// When the file cannot be read, or a line is no row.
pub fn read_metrics<R: DeserializeOwned>(folder: &Path, keep: impl Fn(&R) -> bool) -> Result<Vec<R>> {
    let path = folder.join(NAME);
    let text = fs::read_to_string(&path).map_err(Error::io("read", &path))?;
    let mut rows = vec![];
    for (number, line) in text.lines().enumerate() {
        let row = serde_json::from_str(line)
            .map_err(|error| Error::format(&path, format!("line {}: {error}", number + 1)))?;
        if keep(&row) {
            rows.push(row);
        }
    }
    Ok(rows)
}

/// Writes all rows.
///
/// # Errors
/// When the file cannot be written.
pub fn write_metrics<R: Serialize>(folder: &Path, rows: &[R]) -> Result<()> {
    let path = folder.join(NAME);
    let mut text = String::new();
    for row in rows {
        let line = serde_json::to_string(row);
        text.push_str(&line.map_err(|error| Error::format(&path, error.to_string()))?);
        text.push('\n');
    }
    fs::write(&path, text).map_err(Error::io("write", &path))
}
