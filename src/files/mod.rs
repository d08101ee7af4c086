//! Writing files completely or not at all, and folders that one process at a time writes to.
//!
//! [`AtomicFile`] writes every file of this crate, [`write_whole`] is a shorthand for bytes that
//! are already complete, and [`OwnFolder`] keeps a second run out of a folder.

mod atomic_file;
mod fnv;
mod own_folder;
mod unfinished;

pub use atomic_file::{AtomicFile, write_whole};
pub(crate) use fnv::Fnv;
pub use own_folder::OwnFolder;
pub use unfinished::remove_unfinished;
