//! A file mapped into memory, for reading.

use crate::error::{Error, Result};
use memmap2::Mmap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A file's bytes, read as they are touched.
pub(crate) struct Mapped {
    path: PathBuf,
    map: Mmap,
}

impl Mapped {
    /// Maps `path`; `wanted` says in an error what should have been there.
    pub(crate) fn open(path: &Path, wanted: &str) -> Result<Self> {
        let kind = std::fs::metadata(path).map_err(Error::io("open", path))?;
        if !kind.is_file() {
            return Err(Error::damaged(path, format!("is not a file; {wanted}")));
        }
        let file = File::open(path).map_err(Error::io("open", path))?;
        // SAFETY: the map is only read. Another process that cuts the file short while it is open
        // can end this one with a bus error, as for every reader that maps files; its bytes are
        // never trusted to be anything.
        let map = unsafe { Mmap::map(&file) }.map_err(Error::io("map", path))?;
        Ok(Self { path: path.to_owned(), map })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// Lets the system drop the pages of these bytes. They stay readable, from the file again.
    pub(crate) fn release(&self, bytes: Range<usize>) {
        #[cfg(unix)]
        {
            // SAFETY: the map is read-only and backed by a file, so dropped pages come back with
            // the same bytes.
            let advised = unsafe {
                self.map.unchecked_advise_range(
                    memmap2::UncheckedAdvice::DontNeed,
                    bytes.start,
                    bytes.end - bytes.start,
                )
            };
            if let Err(error) = advised {
                log::debug!("keeping pages of {}: {error}", self.path.display());
            }
        }
    }
}
