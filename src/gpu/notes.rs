//! Small files of what was learnt about an adapter, in the user's folder for caches: people can read and delete them.

use super::adapter::AdapterReport;
use crate::files::write_whole;
use crate::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use std::path::{Path, PathBuf};

/// Larger files are none of ours, bytes.
const LARGEST: u64 = 1 << 20;

/// Where the program keeps the file `name`: `$XDG_CACHE_HOME/kaiwu/`, `~/.cache/kaiwu/` without that variable (XDG Base
/// Directory Specification 0.8).
pub(super) fn path(name: &str) -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = variable("XDG_CACHE_HOME").filter(|path| path.is_absolute());
    let cache = cache.or_else(|| variable("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("kaiwu").join(name))
}

/// An adapter's driver with its version, as the files name it.
pub(super) fn driver(report: &AdapterReport) -> String {
    format!("{} {}", report.driver, report.driver_info).trim().to_owned()
}

/// What to do about a damaged file of our own.
pub(super) const OURS: &str = "; delete this file to begin anew";

/// Reads the file, `what` in words; `None` where it does not exist. `advice` follows what is said of a damaged one.
pub(super) fn read<T: DeserializeOwned>(path: &Path, what: &str, advice: &str) -> Result<Option<T>> {
    let damaged = |problem: String| Error::format(path, format!("{problem}{advice}"));
    match std::fs::metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("read", path)(error)),
        Ok(metadata) if metadata.len() > LARGEST => {
            return Err(damaged(format!("has {} bytes, no {what} is as long", metadata.len())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(path).map_err(Error::io("read", path))?;
    serde_json::from_str(&text).map(Some).map_err(|error| damaged(format!("is not a {what}: {error}")))
}

/// Writes the file in one piece, or deletes it where there is nothing to write.
pub(super) fn write(path: &Path, contents: Option<&impl Serialize>) -> Result<()> {
    let Some(contents) = contents else {
        return match std::fs::remove_file(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("delete", path)(error))
            }
            _ => Ok(()),
        };
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
    }
    let text = serde_json::to_string_pretty(contents)
        .map_err(|error| Error::format(path, format!("JSON: {error}")))?;
    write_whole(path, text + "\n")
}
