//! One GGUF file, read by itself, and the others that belong to it.

use super::cursor::{Cursor, Parsed};
use super::gguf::{find, sorted_by};
use super::is_there;
use super::mapped::Mapped;
use super::metadata::{self, Value};
use super::split::Split;
use super::tensor_table::{self, TensorInfo};
use crate::error::{Error, Result};
use std::path::Path;

/// Where tensor data may start, unless `general.alignment` says otherwise.
const DEFAULT_ALIGNMENT: u32 = 32;

/// One file, read by itself.
pub(super) struct Part {
    pub file: Mapped,
    pub version: u32,
    pub metadata: Vec<(String, Value)>,
    pub tensors: Vec<TensorInfo>,
    pub split: Option<Split>,
}

impl Part {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let file =
            Mapped::open(path, "give the path of a .gguf file, or of a folder with a config.json")?;
        Self::parse(file).map_err(|message| Error::damaged(path, message))
    }

    fn parse(file: Mapped) -> Parsed<Self> {
        let mut cursor = Cursor::new(file.bytes());
        let version = read_version(&mut cursor, file.bytes())?;
        let tensor_count = cursor.u64()?;
        let entry_count = cursor.u64()?;
        let metadata = metadata::read_entries(&mut cursor, entry_count)?;
        let keys = sorted_by(&metadata, "metadata key", |(key, _)| key)?;
        let mut tensors = tensor_table::read_entries(&mut cursor, tensor_count)?;
        let get =
            |wanted: &str| find(&metadata, &keys, wanted, |(key, _)| key).map(|(_, value)| value);

        let alignment = match get("general.alignment") {
            None => DEFAULT_ALIGNMENT,
            Some(value) => {
                value.as_u32().filter(|a| a.is_power_of_two() && *a >= 8).ok_or_else(|| {
                    format!(
                        "general.alignment is {value}, not a power of two of at least 8; the file \
                         is damaged"
                    )
                })?
            }
        };
        let data_start = cursor.position().next_multiple_of(alignment.into());
        tensor_table::place(&mut tensors, data_start, alignment.into(), file.bytes().len() as u64)?;
        let split = Split::read(get)?;
        Ok(Self { file, version, metadata, tensors, split })
    }
}

/// All parts of a model, of which `given` is one.
pub(super) fn all_parts(path: &Path, given: Part, split: Split) -> Result<Vec<Part>> {
    let mut given = Some(given);
    let mut parts = vec![];
    for number in 0..split.count {
        if number == split.number {
            parts.extend(given.take());
            continue;
        }
        let other = split.part(path, number).map_err(|message| Error::damaged(path, message))?;
        if !is_there(&other)? {
            return Err(Error::damaged(
                path,
                format!(
                    "is part {} of {} of a model; {} is missing beside it, fetch that, too",
                    split.number + 1,
                    split.count,
                    other.file_name().unwrap_or_default().display()
                ),
            ));
        }
        let part = Part::open(&other)?;
        match part.split {
            Some(found) if found.number == number && found.count == split.count => parts.push(part),
            found => {
                let says = found.map_or("no part of anything".into(), |found| {
                    format!("part {} of {}", found.number + 1, found.count)
                });
                return Err(Error::damaged(
                    &other,
                    format!(
                        "should be part {} of {}, but says that it is {says}; fetch it again",
                        number + 1,
                        split.count
                    ),
                ));
            }
        }
    }
    let found: usize = parts.iter().map(|part| part.tensors.len()).sum();
    match split.tensors.filter(|&wanted| wanted as usize != found) {
        None => Ok(parts),
        Some(wanted) => Err(Error::damaged(
            path,
            format!(
                "is part of a model of {wanted} tensors, but all parts have {found} together; \
                 fetch them again"
            ),
        )),
    }
}

/// Reads the magic and the version, and explains files of another kind.
fn read_version(cursor: &mut Cursor, file: &[u8]) -> Parsed<u32> {
    if file.is_empty() {
        return Err("is empty; fetch it again".into());
    }
    if !file.starts_with(b"GGUF") {
        return Err(match other_kind(file) {
            Some(kind) => format!("is not GGUF but {kind}"),
            None => {
                "is not GGUF: its first four bytes are not \"GGUF\"; choose a .gguf file".into()
            }
        });
    }
    cursor.take(4)?;
    let version = cursor.u32()?;
    match version {
        2 | 3 => Ok(version),
        1 => Err("is GGUF version 1, which was replaced in 2023; convert the model anew (2 and 3 \
                 are read)"
            .into()),
        _ if (1..=3).contains(&version.swap_bytes()) => {
            Err("is a big-endian GGUF file, little-endian ones are read; convert it with \
                 llama.cpp's \
             gguf_convert_endian.py"
                .into())
        }
        _ => Err(format!(
            "is GGUF version {version}, but only 2 and 3 are known; it is damaged or newer than \
             Kaiwu"
        )),
    }
}

/// Names what people take for GGUF files, by their first bytes, and says what to do.
fn other_kind(file: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 10] = [
        (
            b"version https://git-lfs",
            "a Git LFS pointer: the model itself was not fetched; run `git lfs pull`",
        ),
        (b"FUGG", "GGUF with its magic in big-endian order; convert it to little-endian"),
        (
            b"PK\x03\x04",
            "a zip archive, maybe a PyTorch checkpoint or a wheel; unpack it or choose a .gguf \
             file",
        ),
        (b"\x80\x02", "a Python pickle, maybe a PyTorch checkpoint; convert it to GGUF"),
        (b"\x1f\x8b", "a gzip archive; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "a zstd archive; unpack it first"),
        (b"lmgg", "GGML, the format before GGUF; convert the model anew"),
        (b"tjgg", "GGJT, the format before GGUF; convert the model anew"),
        (b"<", "a web page or XML, maybe an error message of the download; fetch the file again"),
        (
            b"{",
            "JSON, maybe an error message of the download; choose a .gguf file, or the folder of \
             a config.json",
        ),
    ];
    // A safetensors file starts with the length of its JSON header (u64), then the header.
    if file.len() > 8 && file[8] == b'{' && file[5..8] == [0; 3] {
        return Some("safetensors; give the folder it is in, together with its config.json");
    }
    KINDS.iter().find(|(magic, _)| file.starts_with(magic)).map(|(_, kind)| *kind)
}
