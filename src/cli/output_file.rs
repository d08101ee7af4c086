//! Files that appear under their name when all of them is written.

use crate::{Error, Result};
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// A file being written beside the one that it becomes. Devices and pipes are written to directly.
pub(super) struct OutputFile {
    path: PathBuf,
    writer: BufWriter<File>,
    /// What is written, and what it will be called; `None` once that is so, and for devices and pipes.
    unfinished: Option<(PathBuf, PathBuf)>,
}

impl OutputFile {
    /// Begins a file at `path`; what is there stays until [`Self::finish`].
    pub(super) fn create(path: &Path) -> Result<Self> {
        let there = fs::metadata(path).ok();
        // Behind names such as /dev/stdout are files that others have open.
        let direct = there.as_ref().is_some_and(|there| !there.is_file())
            || ["/dev", "/proc"].iter().any(|folder| path.starts_with(folder));
        if direct {
            let file = File::options().write(true).open(path).map_err(Error::io("open", path))?;
            return Ok(Self { path: path.to_owned(), writer: BufWriter::new(file), unfinished: None });
        }
        let becomes = behind_links(path);
        let mut part = becomes.clone().into_os_string();
        part.push(format!(".{}.part", std::process::id()));
        let part = PathBuf::from(part);
        let file = File::create(&part).map_err(Error::io("create", path))?;
        let this = Self {
            path: path.to_owned(),
            writer: BufWriter::new(file),
            unfinished: Some((part.clone(), becomes)),
        };
        if let Some(there) = there {
            // Who may read the file stays as it was.
            fs::set_permissions(&part, there.permissions()).map_err(Error::io("create", path))?;
        }
        Ok(this)
    }

    /// Gives the file its name.
    pub(super) fn finish(mut self) -> Result<()> {
        self.writer.flush().map_err(Error::io("write", &self.path))?;
        if let Some((part, becomes)) = &self.unfinished {
            fs::rename(part, becomes).map_err(Error::io("write", &self.path))?;
            self.unfinished = None;
        }
        Ok(())
    }
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.writer.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if let Some((part, _)) = &self.unfinished {
            // There is nothing to be done about one that cannot be removed.
            let _ = fs::remove_file(part);
        }
    }
}

/// Where the links at `path` lead, whether or not something is there.
fn behind_links(path: &Path) -> PathBuf {
    let mut path = path.to_owned();
    // As many as Linux follows.
    for _ in 0..40 {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            Err(_) => break,
        }
    }
    path
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn folder(name: &str) -> PathBuf {
        let folder = std::env::temp_dir().join(format!("kaiwu-output-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        folder
    }

    #[test]
    fn a_file_is_whole_or_as_it_was() {
        let folder = folder("whole");
        let path = folder.join("a");
        let write = |text: &str| {
            let mut file = OutputFile::create(&path).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file
        };
        drop(write("torn"));
        assert!(!path.exists());
        write("first").finish().unwrap();
        let second = write("second");
        assert_eq!(fs::read(&path).unwrap(), b"first");
        drop(second);
        assert_eq!(fs::read(&path).unwrap(), b"first");
        write("third").finish().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"third");
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 1, "nothing else is left");
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn links_and_devices_stay_what_they_are() {
        let folder = folder("links");
        let (link, target) = (folder.join("link"), folder.join("there/target"));
        fs::create_dir_all(folder.join("there")).unwrap();
        std::os::unix::fs::symlink("there/target", &link).unwrap();
        for text in ["one", "two"] {
            let mut file = OutputFile::create(&link).unwrap();
            file.write_all(text.as_bytes()).unwrap();
            file.finish().unwrap();
            assert_eq!(fs::read(&target).unwrap(), text.as_bytes());
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        }
        let device = folder.join("device");
        std::os::unix::fs::symlink("/dev/null", &device).unwrap();
        let mut file = OutputFile::create(&device).unwrap();
        file.write_all(b"nobody reads this").unwrap();
        file.finish().unwrap();
        assert!(
            fs::symlink_metadata(&device).unwrap().is_symlink() && !fs::metadata(&device).unwrap().is_file()
        );
        fs::remove_dir_all(&folder).unwrap();
    }
}
