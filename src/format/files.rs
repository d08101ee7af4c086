//! Files that may be there or not. What cannot be looked at is not taken for missing.

use crate::error::{Error, Result};
use std::io::ErrorKind;
use std::path::Path;

/// Real configurations have some kilobytes, real indexes a megabyte, real tokenizers some tens of
/// them.
const MOST_BYTES: u64 = 256 << 20;

/// Whether there is a file or folder of this path.
///
/// # Errors
/// If that cannot be told, or a link leads to nothing.
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

/// All of a small file.
///
/// # Errors
/// If it cannot be read, or is absurdly large.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::metadata(path).map_err(Error::io("open", path))?.len();
    if bytes > MOST_BYTES {
        let message = format!("has {} MiB, which no file of this kind needs", bytes >> 20);
        return Err(Error::damaged(path, message));
    }
    std::fs::read(path).map_err(Error::io("read", path))
}

/// All of a small file, if it is there.
///
/// # Errors
/// If it cannot be looked at or read, or is larger than any file of its kind.
pub(super) fn opt_read(path: &Path) -> Result<Option<Vec<u8>>> {
    if is_there(path)? { read(path).map(Some) } else { Ok(None) }
}
