//! What several test files need: temporary files, writers, where the models are, and the reference
//! results.
#![allow(dead_code)] // each test binary uses a part of it

pub mod cases;
pub mod fake;
pub mod gguf_writer;
pub mod hostile;
pub mod hub;
pub mod loaded;
pub mod portable;
pub mod program;
#[cfg(unix)]
pub mod pty;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use kaiwu::gpu::{Device, Gpu, GpuOptions};
use kaiwu::text::{TextStream, Tokenizer};
use safetensors::SafeTensors;

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
    found(default_path(), "KAIWU_MODEL", "make model")
}

/// Where the default model is, or would be.
pub fn default_path() -> PathBuf {
    model("KAIWU_MODEL", "SmolLM2-135M-Instruct.Q4_1.gguf")
}

/// Gemma 3 270M for the opt-in tests: `KAIWU_GEMMA`, or a file of that name in `models/`.
#[track_caller]
pub fn gemma_model() -> PathBuf {
    let path = model("KAIWU_GEMMA", "gemma-3-270m-q4_k_m.gguf");
    found(path, "KAIWU_GEMMA", "see tests/data/README.md on where to get it")
}

/// What the variable says, or a file of that name in `models/`.
fn model(variable: &str, name: &str) -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join("models").join(name);
    std::env::var_os(variable).map_or_else(default, PathBuf::from)
}

#[track_caller]
fn found(path: PathBuf, variable: &str, remedy: &str) -> PathBuf {
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

/// The folder of a tiny checkpoint: see `tests/data/README.md`.
pub fn tiny(name: &str) -> PathBuf {
    data("tiny").join(name)
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are of ASCII")
}

/// A device with everything that the options say.
///
/// # Panics
/// If there is no adapter: a test must not pass without one.
#[track_caller]
pub fn open(options: &GpuOptions) -> Arc<Gpu> {
    Gpu::open(options).unwrap_or_else(|error| panic!("{error}"))
}

/// A device as the program opens it on this machine, without what it remembers of the adapter.
#[track_caller]
pub fn device() -> Device {
    Device::Gpu(open(&GpuOptions::default()))
}

/// Token ids of a reference file.
pub fn ids(value: &serde_json::Value) -> Vec<u32> {
    value.as_array().unwrap().iter().map(|id| id.as_u64().unwrap() as u32).collect()
}

/// The words of a tensor of a safetensors file.
pub fn words(bytes: &[u8], tensor: &str) -> Vec<u32> {
    let file = SafeTensors::deserialize(bytes).unwrap();
    bytemuck::pod_collect_to_vec(file.tensor(tensor).unwrap().data())
}

/// The logarithm of the sum of `e` to each logit, in float64.
pub fn log_sum_exp(logits: &[f32]) -> f64 {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    f64::from(most) + logits.iter().map(|&x| f64::from(x - most).exp()).sum::<f64>().ln()
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
