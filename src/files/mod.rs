//! Files that this program writes: whole or not at all, and folders that one process writes to at a
//! time.
//!
//! [`AtomicFile`] is how every file of this crate is written, [`write_whole`] the same for bytes
//! that are there already, and [`OwnFolder`] keeps a second run out of a folder.

mod atomic_file;
mod fnv;
mod own_folder;
mod unfinished;

pub use atomic_file::{AtomicFile, write_whole};
pub(crate) use fnv::Fnv;
pub use own_folder::OwnFolder;
pub use unfinished::remove_unfinished;
