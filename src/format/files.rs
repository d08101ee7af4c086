//! Reads optional files. An error while looking for a file does not count as its absence.

use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::path::Path;

/// The largest file that is read. Real configurations have several kilobytes, indexes a megabyte,
/// and tokenizers tens of megabytes.
const MOST_BYTES: u64 = 256 << 20;

/// Whether a file or folder exists at this path.
///
/// # Errors
/// If that cannot be determined, or a link leads to nothing.
pub(crate) fn is_there(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            match std::fs::symlink_metadata(path) {
                Ok(_) => Err(Error::damaged(
                    path,
                    "is a link to a file that is not there; fetch the model again",
                )),
                Err(_) => Ok(false),
            }
        }
        Err(error) => Err(Error::io("open", path)(error)),
    }
}

/// Reads a whole small file.
///
/// # Errors
/// If it cannot be read, or is larger than any file of its kind.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::metadata(path).map_err(Error::io("open", path))?.len();
    if bytes > MOST_BYTES {
        let message = format!("has {} MiB, which no file of this kind needs", bytes >> 20);
        return Err(Error::damaged(path, message));
    }
    std::fs::read(path).map_err(Error::io("read", path))
}

/// Reads a whole small file; `None` if it does not exist.
///
/// # Errors
/// If it cannot be read, or is larger than any file of its kind.
pub(super) fn opt_read(path: &Path) -> Result<Option<Vec<u8>>> {
    if is_there(path)? { read(path).map(Some) } else { Ok(None) }
}
