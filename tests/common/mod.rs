//! What several tests share.
#![allow(dead_code)] // each test binary uses a part of it

pub mod numbers;
pub mod gguf_writer;

use std::fs;
use std::path::PathBuf;

/// A file in the directory for temporary files, removed when dropped.
pub struct TempFile(pub PathBuf);

impl TempFile {
    /// Writes the bytes; `name` must be unique within the test binary.
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        let path = std::env::temp_dir().join(format!("kaiwu-{}-{name}", std::process::id()));
        fs::write(&path, bytes).expect("the directory for temporary files is writable");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
