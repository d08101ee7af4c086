//! What several test files need: temporary files, writers, where the models are, and the reference
//! results.
#![allow(dead_code)] // each test binary uses a part of it

pub mod cases;
pub mod gguf_writer;
pub mod hub;
pub mod loaded;
pub mod portable;
pub mod program;
#[cfg(unix)]
pub mod pty;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use kaiwu::text::{TextStream, Tokenizer};

/// A path in the directory for temporary files that no other test has, ending with `name`.
fn unique(name: &str) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let (process, next) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    std::env::temp_dir().join(format!("kaiwu-{process}-{next}-{name}"))
}

/// A file in the directory for temporary files, removed when dropped.
pub struct TempFile(pub PathBuf);

impl TempFile {
    /// Writes the bytes to a file of its own, whose name ends with `name`.
    pub fn new(name: &str, bytes: &[u8]) -> Self {
        let path = unique(name);
        fs::write(&path, bytes).expect("the directory for temporary files is writable");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// A folder for a test, empty, and removed when dropped.
pub struct Folder(pub PathBuf);

impl Folder {
    /// A folder of its own, whose name ends with `name`.
    pub fn new(name: &str) -> Self {
        let path = unique(name);
        fs::create_dir_all(&path).expect("the directory for temporary files is writable");
        Self(path)
    }

    /// Writes a file of it.
    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).expect("it was made just now");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// How far logits are from the reference at most, as a share of what is allowed.
#[track_caller]
pub fn share(logits: &[f32], reference: &[f32]) -> f32 {
    assert_eq!(logits.len(), reference.len());
    let shares = logits.iter().zip(reference).map(|(found, wanted)| {
        let share = (found - wanted).abs() / (2e-3 + 1e-3 * wanted.abs());
        // A NaN is as wrong as can be.
        if share.is_nan() { f32::INFINITY } else { share }
    });
    shares.fold(0.0, f32::max)
}

/// The model most tests run on, SmolLM2-135M-Instruct: `KAIWU_MODEL`, or the file that `make model`
/// fetches.
///
/// # Panics
/// If it is not there: a test that needs it must not pass without it.
#[track_caller]
pub fn default_model() -> PathBuf {
    model("KAIWU_MODEL", "SmolLM2-135M-Instruct.Q4_1.gguf", "make model")
}

/// Gemma 3 270M for the opt-in tests: `KAIWU_GEMMA`, or a file of that name in `models/`.
#[track_caller]
pub fn gemma_model() -> PathBuf {
    model("KAIWU_GEMMA", "gemma-3-270m-q4_k_m.gguf", "see tests/data/README.md on where to get it")
}

#[track_caller]
fn model(variable: &str, name: &str, remedy: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    let path = std::env::var_os(variable).map_or_else(default, PathBuf::from);
    assert!(
        path.is_file(),
        "no model at {}; run: {remedy} (or set {variable} to its path)",
        path.display()
    );
    path
}

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// The reference results for a model: see `tests/data/README.md`.
pub fn golden(name: &str) -> serde_json::Value {
    let path = data(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The pieces of a stream, joined.
pub fn streamed(tokenizer: &Tokenizer, ids: &[u32], skip_special: bool) -> String {
    let mut stream = TextStream::new(tokenizer, skip_special);
    let mut pieces: Vec<String> = ids.iter().map(|&id| stream.push(id)).collect();
    pieces.push(stream.finish());
    pieces.concat()
}
