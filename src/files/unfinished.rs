//! Temporary files next to their final names while they are being written, and their removal when a
//! program ends early.

use std::fs::{self, File, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Beginning and end of temporary names; between them are the process id and a number.
const NAME: (&str, &str) = (".kaiwu-", ".part");

/// Number of names that are tried before giving up.
const TRIES: u32 = 1000;

/// Temporary files of this process that are unfinished, and the number of files begun so far.
static BEGUN: Mutex<(Vec<PathBuf>, u64)> = Mutex::new((Vec::new(), 0));

fn begun() -> MutexGuard<'static, (Vec<PathBuf>, u64)> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A temporary file, which is removed unless it gets its final name.
pub(super) struct Unfinished {
    part: PathBuf,
}

impl Unfinished {
    /// Creates a file in the folder of `target`. It stays locked while it is open, which
    /// distinguishes it from an abandoned one.
    pub(super) fn new(target: &Path) -> Result<(File, Self)> {
        let folder = match target.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        remove_abandoned(folder);
        let (files, count) = &mut *begun();
        for _ in 0..TRIES {
            *count += 1;
            let part = folder.join(format!("{}{}-{count}{}", NAME.0, std::process::id(), NAME.1));
            let file = match File::create_new(&part) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                other => other?,
            };
            // Another process that removes abandoned files may have locked or removed it between
            // the two calls.
            let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !part.exists();
            if !taken {
                files.push(part.clone());
                return Ok((file, Self { part }));
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, "the folder is full of unfinished files"))
    }

    /// Gives the file its final name, and replaces a file that has it.
    pub(super) fn rename(self, target: &Path) -> Result<()> {
        let mut begun = begun();
        fs::rename(&self.part, target)?;
        begun.0.retain(|part| *part != self.part);
        Ok(())
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        let mut begun = begun();
        if let Some(place) = begun.0.iter().position(|part| *part == self.part) {
            begun.0.swap_remove(place);
            // A partial file is useless, and if it no longer exists there is nothing to do.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Removes all unfinished files and prevents further ones, for a process that is about to exit
/// without returning to `main`.
pub fn remove_unfinished() {
    let mut begun = begun();
    for part in begun.0.drain(..) {
        let _ = fs::remove_file(part);
    }
    std::mem::forget(begun);
}

/// Removes from `folder` the unfinished files of processes that were killed. Files that another
/// process is still writing are locked, and stay.
fn remove_abandoned(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if !name.to_str().is_some_and(|name| name.starts_with(NAME.0) && name.ends_with(NAME.1)) {
            continue;
        }
        let path = entry.path();
        let is_abandoned = entry.file_type().is_ok_and(|kind| kind.is_file())
            && File::options().write(true).open(&path).is_ok_and(|file| {
                let is_free = file.try_lock().is_ok();
                // Removed while it is locked, so that no process that begins a file of this name
                // takes it over.
                is_free && fs::remove_file(&path).is_ok()
            });
        if is_abandoned {
            log::info!("{} was left by a process that was killed, and is removed", path.display());
        }
    }
}
