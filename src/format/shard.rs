//! One safetensors file: a JSON header with the tensors' places, then their bytes.
//!
//! Specification: the README of huggingface/safetensors. The crate checks that the header's tensors
//! fill the file without gaps or overlaps; here the file is mapped and the types are those that
//! weights have.

use super::cursor::shown;
use super::dtype::DType;
use super::mapped::Mapped;
use crate::error::{Error, Result};
use safetensors::SafeTensors;
use std::ops::Range;
use std::path::Path;

/// A tensor of a shard, of a type that may not be one of weights.
pub(super) struct Entry {
    /// The name in the file.
    pub name: String,
    /// Sizes, slowest axis first.
    pub shape: Vec<u64>,
    /// How it is stored, or the name of a type that is not read.
    pub dtype: std::result::Result<DType, String>,
    /// Its bytes, counted from the start of the file.
    pub bytes: Range<u64>,
}

/// Maps a safetensors file and reads its header.
///
/// # Errors
/// If the file cannot be read, or is damaged.
pub(super) fn open(path: &Path) -> Result<(Mapped, Vec<Entry>)> {
    let file = Mapped::open(path, "give a folder with a model.safetensors")?;
    let damaged = |reason: String| {
        Error::damaged(
            path,
            format!("{reason}; it is damaged or was not fully downloaded, fetch it again"),
        )
    };
    if file.bytes().starts_with(b"version https://git-lfs") {
        let message = "is a Git LFS pointer: the model itself was not fetched; run `git lfs pull`";
        return Err(Error::damaged(path, message));
    }
    let (header, metadata) = SafeTensors::read_metadata(file.bytes())
        .map_err(|error| damaged(format!("is not a sound safetensors file: {error}")))?;
    let start = 8 + header as u64;
    let mut entries = vec![];
    for (name, info) in metadata.tensors() {
        // The crate has checked these against the file's length; what is absurd all the same is
        // refused here.
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let bytes = start.checked_add(from).zip(start.checked_add(to)).map(|(from, to)| from..to);
        let Some(bytes) = bytes
            .filter(|bytes| bytes.start <= bytes.end && bytes.end <= file.bytes().len() as u64)
        else {
            return Err(damaged(format!(
                "tensor {} reaches past the end of the file",
                shown(&name)
            )));
        };
        let dtype = match info.dtype {
            safetensors::Dtype::F32 => Ok(DType::F32),
            safetensors::Dtype::F16 => Ok(DType::F16),
            safetensors::Dtype::BF16 => Ok(DType::BF16),
            other => Err(format!("{other:?}")),
        };
        // A lone number is a row of one.
        let mut shape: Vec<u64> = info.shape.iter().map(|&n| n as u64).collect();
        if shape.is_empty() {
            shape.push(1);
        }
        entries.push(Entry { name, shape, dtype, bytes });
    }
    entries.sort_by_key(|entry| entry.bytes.start);
    Ok((file, entries))
}
