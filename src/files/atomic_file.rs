//! A file that appears under its name only when it is complete.

use super::unfinished::Unfinished;
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// The name of standard output in messages.
const STANDARD_OUTPUT: &str = "standard output";

/// Number of symbolic links after which a path is considered circular.
const MOST_LINKS: usize = 40;

/// A file that is being written. Until [`AtomicFile::finish`] it has a temporary name in the folder
/// of its final name, so that an existing file stays intact and other processes that write to the
/// same name do not interfere. If it is dropped before that, it is removed. Symbolic links are
/// followed, and their target is replaced; the permissions of an existing file are kept. Devices
/// and pipes are written to directly, as bytes come.
pub struct AtomicFile {
    /// The path as it was given.
    path: PathBuf,
    out: BufWriter<File>,
    written: u64,
    /// The temporary file and its final name; `None` for devices and pipes.
    unfinished: Option<(Unfinished, PathBuf)>,
}

impl AtomicFile {
    /// Begins a file with this name.
    ///
    /// # Errors
    /// When the path is a folder or may not be written, or its folder does not exist.
    pub fn create(path: &Path) -> Result<Self> {
        let target = followed(path).map_err(Error::io("write", path))?;
        if is_standard_output(&target) {
            return Self::standard_output();
        }
        let begun = Self::begin(target);
        let (file, unfinished) = begun.map_err(Error::io("write", path))?;
        Ok(Self { path: path.to_owned(), out: BufWriter::new(file), written: 0, unfinished })
    }

    fn begin(target: PathBuf) -> std::io::Result<(File, Option<(Unfinished, PathBuf)>)> {
        let before = match fs::metadata(&target) {
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            other => Some(other?),
        };
        let ends_as_folder = target.as_os_str().as_encoded_bytes().ends_with(b"/");
        if ends_as_folder || before.as_ref().is_some_and(fs::Metadata::is_dir) {
            return Err(ErrorKind::IsADirectory.into());
        }
        if is_descriptor(&target) {
            return Ok((File::options().append(true).open(&target)?, None));
        }
        if before.as_ref().is_some_and(|before| !before.is_file()) {
            return Ok((File::options().write(true).open(&target)?, None));
        }
        if before.is_some() {
            // A file that may not be written must not be replaced either.
            File::options().write(true).open(&target)?;
        }
        let (file, unfinished) = Unfinished::new(&target)?;
        if let Some(before) = before {
            keep_permissions(&before, &file)?;
        }
        Ok((file, Some((unfinished, target))))
    }

    /// Standard output as a file to write. What has been written to it cannot be undone.
    ///
    /// # Errors
    /// When standard output is closed.
    pub fn standard_output() -> Result<Self> {
        #[cfg(unix)]
        let owned = std::os::fd::AsFd::as_fd(&std::io::stdout()).try_clone_to_owned();
        #[cfg(windows)]
        let owned =
            std::os::windows::io::AsHandle::as_handle(&std::io::stdout()).try_clone_to_owned();
        let owned = owned.map_err(Error::io("write to", STANDARD_OUTPUT))?;
        let out = BufWriter::new(File::from(owned));
        Ok(Self { path: STANDARD_OUTPUT.into(), out, written: 0, unfinished: None })
    }

    /// Whether the file is standard output.
    pub fn is_standard_output(&self) -> bool {
        self.path == Path::new(STANDARD_OUTPUT)
    }

    /// The path as it was given, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes at the end of the file.
    ///
    /// # Errors
    /// When the bytes cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io("write", &self.path))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its final name, and returns its size in bytes.
    ///
    /// # Errors
    /// When the last bytes cannot be written, or the file cannot be renamed.
    pub fn finish(mut self) -> Result<u64> {
        self.out.flush().map_err(Error::io("write", &self.path))?;
        if let Some((unfinished, target)) = self.unfinished.take() {
            unfinished.rename(&target).map_err(Error::io("write", &self.path))?;
        }
        Ok(self.written)
    }
}

/// Writes a file with these bytes, completely or not at all.
///
/// # Errors
/// When the path is a folder or may not be written, its folder does not exist, or the bytes cannot
/// be written.
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.append(bytes.as_ref())?;
    file.finish().map(|_| ())
}

/// Whether the path is a name of standard output. A second open file would not share its position.
fn is_standard_output(path: &Path) -> bool {
    cfg!(unix)
        && ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
            .iter()
            .any(|name| path == Path::new(name))
}

/// Whether the path is a file descriptor of this process, such as `/dev/fd/3`: it may be a file
/// that other processes continue to write.
fn is_descriptor(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    let is_among =
        |folder: &Path| folder == Path::new("/dev/fd") || folder == Path::new("/proc/self/fd");
    cfg!(unix) && (is_among(folder) || path == Path::new("/dev/stderr"))
}

/// The target of a path, following symbolic links, which need not exist. Paths of file descriptors
/// are returned as they are.
fn followed(path: &Path) -> std::io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..MOST_LINKS {
        if is_standard_output(&target) || is_descriptor(&target) {
            return Ok(target);
        }
        match fs::read_link(&target) {
            Ok(next) => target = target.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(target),
        }
    }
    Err(std::io::Error::other("the link leads in a circle"))
}

/// Gives a file the permissions of the file that it replaces, and its owner where this user may.
#[cfg(unix)]
fn keep_permissions(before: &fs::Metadata, file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (before.uid(), before.gid()) {
        // Only the administrator may change the owner; otherwise the file belongs to the current
        // user.
        let _ = fchown(file, Some(before.uid()), Some(before.gid()));
    }
    file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o777))
}

#[cfg(not(unix))]
fn keep_permissions(_: &fs::Metadata, _: &File) -> std::io::Result<()> {
    Ok(())
}
