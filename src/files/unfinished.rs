//! Files beside their final names, for as long as they are not whole, and what becomes of them when
//! a program ends early.

use std::fs::{self, File, TryLockError};
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How the names begin and end: a number of the process and one of the file stand between.
const NAME: (&str, &str) = (".kaiwu-", ".part");

/// Names that are tried before the folder is taken for full of them.
const TRIES: u32 = 1000;

/// What is not whole in this process, and how many files it has begun.
static BEGUN: Mutex<(Vec<PathBuf>, u64)> = Mutex::new((Vec::new(), 0));

fn begun() -> MutexGuard<'static, (Vec<PathBuf>, u64)> {
    BEGUN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file under a name of its own, which is removed unless it gets its final name.
pub(super) struct Unfinished {
    part: PathBuf,
}

impl Unfinished {
    /// A new file in the folder of `target`. It is locked for as long as it is open, which tells it
    /// from one that was abandoned.
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
            // Another process that clears up may have come between the two calls, and has removed
            // the file or is about to.
            let taken = matches!(file.try_lock(), Err(TryLockError::WouldBlock)) || !part.exists();
            if !taken {
                files.push(part.clone());
                return Ok((file, Self { part }));
            }
        }
        Err(Error::new(ErrorKind::AlreadyExists, "the folder is full of unfinished files"))
    }

    /// Gives the file its final name, in place of what has it.
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
            // What is left of it is of no use; that it may not be there is fine.
            let _ = fs::remove_file(&self.part);
        }
    }
}

/// Removes what is not whole yet, and lets no other file begin or get its name: for a process that
/// is about to end without going back to `main`.
pub fn remove_unfinished() {
    let mut begun = begun();
    for part in begun.0.drain(..) {
        let _ = fs::remove_file(part);
    }
    std::mem::forget(begun);
}

/// Removes from `folder` what processes left unfinished that were killed. What somebody still
/// writes is locked, and stays.
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
                // While it is locked, so that nobody who begins a file of this name takes it for
                // their own.
                is_free && fs::remove_file(&path).is_ok()
            });
        if is_abandoned {
            log::info!("{} was left by a process that was killed, and is removed", path.display());
        }
    }
}
