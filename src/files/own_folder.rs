//! A folder that one process at a time writes to.

use crate::{Error, Result};
use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Name of the file that is locked.
const NAME: &str = ".kaiwu.lock";

/// A lock on a folder. It ends with this value or with the process, even if the process is killed,
/// because the operating system holds it.
pub struct OwnFolder {
    folder: PathBuf,
    lock: PathBuf,
    /// The lock file; the lock lasts as long as it is open.
    _file: File,
    /// Whether the folder was created by this claim.
    is_new: bool,
}

impl OwnFolder {
    /// Locks a folder, which is created if it does not exist.
    ///
    /// # Errors
    /// When another process has locked it, or it cannot be written to.
    pub fn claim(folder: &Path) -> Result<Self> {
        let is_new = !folder.exists();
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let lock = folder.join(NAME);
        let mut file = loop {
            let opened =
                File::options().read(true).write(true).create(true).truncate(false).open(&lock);
            let file = opened.map_err(Error::io("write", &lock))?;
            match file.try_lock() {
                // The previous owner may have removed the file meanwhile; other processes would
                // then lock a new file of the same name.
                Ok(()) if is_at(&file, &lock) => break file,
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(claimed(folder, file)),
                Err(TryLockError::Error(error)) => {
                    log::warn!(
                        "{} cannot be locked ({error}); let no second run write there",
                        lock.display()
                    );
                    break file;
                }
            }
        };
        // The process id serves only for messages of other processes.
        let _ = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
        Ok(Self { folder: folder.to_owned(), lock, _file: file, is_new })
    }
}

impl Drop for OwnFolder {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.lock);
        if self.is_new {
            // A folder with files in it stays.
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

fn claimed(folder: &Path, mut lock: File) -> Error {
    let mut process = String::new();
    let _ = lock.read_to_string(&mut process);
    let whose = match process.trim().parse::<u32>() {
        Ok(number) => format!("process {number}"),
        Err(_) => "another process".into(),
    };
    Error::damaged(
        folder,
        format!("{whose} writes to this folder; wait until it ends, or choose another one"),
    )
}

/// Whether an open file is the one at this path.
#[cfg(unix)]
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    let place =
        |found: std::io::Result<fs::Metadata>| found.ok().map(|found| (found.dev(), found.ino()));
    place(file.metadata()).is_some_and(|own| place(fs::metadata(path)) == Some(own))
}

/// Whether an open file is the one at this path: always, because open files cannot be removed on
/// these systems.
#[cfg(not(unix))]
fn is_at(_: &File, path: &Path) -> bool {
    path.exists()
}
