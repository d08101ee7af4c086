//! The rows of a run's `metrics.jsonl`, one JSON object per line.

use crate::Result;
use crate::train::data::json_lines::{read_lines, write_lines};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::Path;

const NAME: &str = "metrics.jsonl";

/// Reads the rows in `folder` up to the checkpoint; later rows will be computed again.
///
/// # Errors
/// When the file cannot be read, or a line is not a row.
pub fn read_metrics<R: DeserializeOwned>(
    folder: &Path,
    keep: impl Fn(&R) -> bool,
) -> Result<Vec<R>> {
    let mut rows = read_lines(&folder.join(NAME))?;
    rows.retain(keep);
    Ok(rows)
}

/// Writes all rows to the `metrics.jsonl` of a folder.
///
/// # Errors
/// When the file cannot be written.
pub fn write_metrics<R: Serialize>(folder: &Path, rows: &[R]) -> Result<()> {
    write_lines(&folder.join(NAME), rows)
}
