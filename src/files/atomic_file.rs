//! A file that appears under its name only once it is whole.

use super::unfinished::Unfinished;
use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// What messages call standard output.
const STANDARD_OUTPUT: &str = "standard output";

/// Links that are followed before they are taken for a circle.
const MOST_LINKS: usize = 40;

/// A file in the making. Until [`AtomicFile::finish`] it has a name of its own in the folder where
/// it is to be, so that what was there before stays, and other processes that write to the same
/// name do not mix with it; dropped before that, it is removed. Links are followed: what they lead
/// to is replaced. Its permissions are kept. What is no file, such as a device or a pipe, is
/// written to as bytes come.
pub struct AtomicFile {
    /// As it was given.
    path: PathBuf,
    out: BufWriter<File>,
    written: u64,
    /// The file, and the name it is to have; of devices and pipes there is none.
    unfinished: Option<(Unfinished, PathBuf)>,
}

impl AtomicFile {
    /// Begins the file of that name.
    ///
    /// # Errors
    /// When it is a folder, may not be written, or its folder does not exist.
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
            // Who may not write a file may not replace it either.
            File::options().write(true).open(&target)?;
        }
        let (file, unfinished) = Unfinished::new(&target)?;
        if let Some(before) = before {
            keep_permissions(&before, &file)?;
        }
        Ok((file, Some((unfinished, target))))
    }

    /// Standard output as such a file, which cannot be taken back.
    ///
    /// # Errors
    /// When it is closed.
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

    /// Whether it is standard output.
    pub fn is_standard_output(&self) -> bool {
        self.path == Path::new(STANDARD_OUTPUT)
    }

    /// The name it was given, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes bytes after those that are there.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(Error::io("write", &self.path))?;
        self.written += bytes.len() as u64;
        Ok(())
    }

    /// Gives the file its name, and the count of its bytes.
    ///
    /// # Errors
    /// When the last of them cannot be written, or the name not be given.
    pub fn finish(mut self) -> Result<u64> {
        self.out.flush().map_err(Error::io("write", &self.path))?;
        if let Some((unfinished, target)) = self.unfinished.take() {
            unfinished.rename(&target).map_err(Error::io("write", &self.path))?;
        }
        Ok(self.written)
    }
}

/// Writes a file of these bytes, whole or not at all.
///
/// # Errors
/// As those of [`AtomicFile`].
pub fn write_whole(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.append(bytes.as_ref())?;
    file.finish().map(|_| ())
}

/// Whether the name is one of standard output's, which has a position that a second opening would
/// not share.
fn is_standard_output(path: &Path) -> bool {
    cfg!(unix)
        && ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"]
            .iter()
            .any(|name| path == Path::new(name))
}

/// Whether the name stands for something that this process has open already: it may be a file that
/// others go on writing.
fn is_descriptor(path: &Path) -> bool {
    let folder = path.parent().unwrap_or(path);
    let is_among =
        |folder: &Path| folder == Path::new("/dev/fd") || folder == Path::new("/proc/self/fd");
    cfg!(unix) && (is_among(folder) || path == Path::new("/dev/stderr"))
}

/// What a path leads to, link by link, or to which of the files that are open. The last link may
/// lead to nothing yet.
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

/// Gives a file the permissions of the one that it replaces, and its owner where this user may.
#[cfg(unix)]
fn keep_permissions(before: &fs::Metadata, file: &File) -> std::io::Result<()> {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};
    let new = file.metadata()?;
    if (new.uid(), new.gid()) != (before.uid(), before.gid()) {
        // Only the administrator may give files away; without that it belongs to who writes it.
        let _ = fchown(file, Some(before.uid()), Some(before.gid()));
    }
    file.set_permissions(fs::Permissions::from_mode(before.mode() & 0o777))
}

#[cfg(not(unix))]
fn keep_permissions(_: &fs::Metadata, _: &File) -> std::io::Result<()> {
    Ok(())
}
