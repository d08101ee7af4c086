//! A file's bytes, mapped where there are maps, and read where there are none.

use std::fs::File;
use std::io;
use std::ops::Range;

/// The bytes of a file, for reading.
pub(crate) struct Map {
    #[cfg(not(target_family = "wasm"))]
    bytes: memmap2::Mmap,
    #[cfg(target_family = "wasm")]
    bytes: Vec<u8>,
}

impl Map {
    /// Maps the whole file: its bytes are read as they are touched.
    #[cfg(not(target_family = "wasm"))]
    pub(crate) fn of(file: &File) -> io::Result<Self> {
        // SAFETY: the map is only read. Another process that cuts the file short while it is open
        // can end this one with a bus error, as for every reader that maps files; its bytes are
        // never trusted to be anything.
        let bytes = unsafe { memmap2::Mmap::map(file) }?;
        Ok(Self { bytes })
    }

    /// Reads the whole file.
    #[cfg(target_family = "wasm")]
    pub(crate) fn of(mut file: &File) -> io::Result<Self> {
        let mut bytes = vec![];
        io::Read::read_to_end(&mut file, &mut bytes)?;
        Ok(Self { bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Lets the system drop the pages of these bytes. They stay readable, from the file again.
    #[cfg(unix)]
    pub(crate) fn release(&self, bytes: Range<usize>) -> io::Result<()> {
        // SAFETY: the map is read-only and backed by a file, so dropped pages come back with the
        // same bytes.
        unsafe {
            self.bytes.unchecked_advise_range(
                memmap2::UncheckedAdvice::DontNeed,
                bytes.start,
                bytes.end - bytes.start,
            )
        }
    }

    /// Does nothing: the system has no way to be told.
    #[cfg(not(unix))]
    pub(crate) fn release(&self, _: Range<usize>) -> io::Result<()> {
        Ok(())
    }
}
