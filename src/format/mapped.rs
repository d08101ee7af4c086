//! A file mapped into memory for reading.

use crate::error::{Error, Result};
use crate::platform::Map;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// The bytes of a file, read from disk on first access.
pub(crate) struct Mapped {
    path: PathBuf,
    map: Map,
}

impl Mapped {
    /// Maps the file at `path`; `wanted` describes the expected file in errors.
    pub(crate) fn open(path: &Path, wanted: &str) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if !kind.is_file() {
            return Err(Error::damaged(path, format!("is not a file; {wanted}")));
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        let map = Map::of(&file).map_err(Error::io("map", path))?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.map.bytes()
    }

    /// Lets the system drop the memory pages of these bytes. They stay readable, from the file
    /// again.
    pub(crate) fn release(&self, bytes: Range<usize>) {
        if let Err(error) = self.map.release(bytes) {
            log::debug!("keeping pages of {}: {error}", self.path.display());
        }
    }
}
