//! Low-rank additions to a model's matrices (LoRA; Hu et al. 2021, arXiv:2106.09685), as stored by
//! PEFT, by mlx-lm, and in GGUF files.

use super::blocks;
use super::cursor::shown;
use super::json::read_object;
use super::mapped::Mapped;
use super::shard::{self, Entry};
use super::{lora_gguf, lora_mlx, lora_peft};
use crate::error::Place;
use crate::error::{Error, Result};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

const CONFIG: &str = "adapter_config.json";
/// Names of the weight files of PEFT and of mlx-lm.
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapters.safetensors"];

/// The addition to one matrix: y += scale · B (A x).
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// The matrix by its GGUF name, such as "blk.3.attn_q".
    pub name: String,
    /// Number of rows of A and columns of B.
    pub rank: usize,
    /// Number of columns of A.
    pub inputs: usize,
    /// Number of rows of B.
    pub outputs: usize,
    /// Factor of B (A x): in PEFT lora_alpha divided by the rank or by its root, in mlx-lm `scale`.
    pub scale: f32,
    /// Matrix A [rank, inputs].
    pub a: Vec<f32>,
    /// Matrix B [outputs, rank].
    pub b: Vec<f32>,
    /// Whether the rows of B have the order of GGUF files instead of that of Hugging Face's
    /// checkpoints.
    pub gguf_order: bool,
}

/// A LoRA adapter read from a file.
#[derive(Debug, Clone)]
pub struct Lora {
    path: PathBuf,
    additions: Vec<LowRank>,
}

impl Lora {
    /// Reads several, each with its scale, as [`Lora::open`] does.
    ///
    /// # Errors
    /// If one of them cannot be read.
    pub fn open_all(asked: &[(PathBuf, f32)], architecture: &str) -> Result<Vec<(Self, f32)>> {
        asked.iter().map(|(path, scale)| Ok((Self::open(path, architecture)?, *scale))).collect()
    }

    /// Reads a folder, its weight file, or a GGUF file, for a model family with the GGUF name
    /// `architecture`.
    ///
    /// # Errors
    /// If the file cannot be read, is damaged or of an unsupported kind, or has more than low-rank
    /// additions to matrices.
    pub fn open(path: &Path, architecture: &str) -> Result<Self> {
        let is_folder = std::fs::metadata(path).map_err(Error::io("open", path))?.is_dir();
        let weights = if is_folder { weights_in(path)? } else { path.to_owned() };
        let additions = match first_bytes(&weights)? {
            start if start.starts_with(b"GGUF") => lora_gguf::read(&weights, architecture)?,
            start if start.starts_with(b"PK\x03\x04") || start.starts_with(&[0x80]) => {
                return Err(pickled(&weights));
            }
            _ => {
                let config = weights.with_file_name(CONFIG);
                if !config.exists() {
                    let message = format!(
                        "has no {CONFIG} beside it, which says how much it adds; give the folder \
                         that PEFT or mlx-lm wrote"
                    );
                    return Err(Error::damaged(&weights, message));
                }
                let map = read_object(&config)?;
                if lora_mlx::is_mlx_config(&map) {
                    lora_mlx::read(&weights, &config, &map, architecture)?
                } else {
                    lora_peft::read(&weights, &config, &map, architecture)?
                }
            }
        };
        if additions.is_empty() {
            return Err(Error::damaged(&weights, "adds nothing"));
        }
        Ok(Self { path: path.to_owned(), additions })
    }

    /// The additions to the model's matrices.
    pub fn additions(&self) -> &[LowRank] {
        &self.additions
    }

    /// An error about this adapter.
    pub fn path_error(&self, message: impl Into<String>) -> Error {
        Error::damaged(&self.path, message)
    }

    /// An error about a feature that this adapter needs and this version lacks.
    pub fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::unsupported(&self.path, message)
    }
}

/// Finds the weight file of a folder.
fn weights_in(folder: &Path) -> Result<PathBuf> {
    if let Some(there) = WEIGHTS.iter().map(|name| folder.join(name)).find(|path| path.exists()) {
        return Ok(there);
    }
    let others = ["adapter_model.bin", "adapters.npz"].map(|name| folder.join(name));
    if let Some(other) = others.iter().find(|path| path.exists()) {
        return Err(pickled(other));
    }
    let entries = std::fs::read_dir(folder).map_err(Error::io("read", folder))?;
    let mut ggufs = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut ggufs =
        ggufs.by_ref().filter(|path| path.extension().is_some_and(|ending| ending == "gguf"));
    match (ggufs.next(), ggufs.next()) {
        (Some(only), None) => Ok(only),
        (Some(_), Some(_)) => {
            Err(Error::damaged(folder, "has several .gguf files; give the adapter among them"))
        }
        (None, _) => Err(Error::damaged(
            folder,
            format!(
                "has no {}, {} or .gguf file; give the folder or file of an adapter",
                WEIGHTS[0], WEIGHTS[1]
            ),
        )),
    }
}

/// The first bytes of a file, which identify its kind.
fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut start = vec![];
    let file = File::open(path).map_err(Error::io("open", path))?;
    file.take(4).read_to_end(&mut start).map_err(Error::io("read", path))?;
    Ok(start)
}

/// The error for files that contain Python programs, plain or zipped.
fn pickled(path: &Path) -> Error {
    let is_npz = path.extension().is_some_and(|ending| ending == "npz");
    let message = if is_npz {
        "is an adapter in NumPy's format, which mlx-lm wrote once and which is not read; save \
             it as safetensors: \
             mlx.core.save_safetensors(\"adapters.safetensors\", \
             dict(mlx.core.load(\"adapters.npz\")))"
    } else {
        "is a Python pickle, which may run programs and is not read; save the adapter as \
             safetensors: load it with PEFT and \
             call save_pretrained(…, safe_serialization=True), or \
             safetensors.torch.save_file(torch.load(\"adapter_model.bin\", \
             weights_only=True), \"adapter_model.safetensors\")"
    };
    Error::damaged(path, message)
}

/// The tensors of a safetensors file, each as one factor (A or B) of an addition.
pub(super) struct Halves {
    file: Mapped,
    tensors: Vec<Entry>,
    modules: BTreeMap<String, [Option<Entry>; 2]>,
    /// Whether matrices are stored as [inputs, outputs].
    pub transposed: bool,
}

impl Halves {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let (file, tensors) = shard::open(path)?;
        Ok(Self { file, tensors, modules: BTreeMap::new(), transposed: false })
    }

    pub(super) fn take_tensors(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.tensors)
    }

    /// An error about the file.
    pub(super) fn wrong(&self, message: impl Into<String>) -> Error {
        Error::damaged(self.file.path(), message)
    }

    /// Stores a tensor as one factor of the addition to a module's matrix.
    pub(super) fn put(&mut self, module: String, half: usize, tensor: Entry) -> Result<()> {
        let place = &mut self.modules.entry(module).or_default()[half];
        match place.replace(tensor) {
            None => Ok(()),
            Some(twice) => {
                Err(self.wrong(format!("tensor {} is there under two names", shown(&twice.name))))
            }
        }
    }

    /// Combines the factors; `of` returns the GGUF name of a module, and the scale for a rank.
    pub(super) fn join(self, of: impl Fn(&str, usize) -> (String, f32)) -> Result<Vec<LowRank>> {
        let mut additions = vec![];
        for (module, halves) in &self.modules {
            let wrong =
                |message: &str| self.wrong(format!("the addition to {} {message}", shown(module)));
            let [Some(a), Some(b)] = halves else {
                return Err(wrong("lacks one of its two matrices"));
            };
            let (&[mut rank, mut inputs], &[mut outputs, mut columns]) =
                (&a.shape[..], &b.shape[..])
            else {
                return Err(wrong("is not made of matrices"));
            };
            let (mut a_values, mut b_values) = (floats(&self.file, a)?, floats(&self.file, b)?);
            if self.transposed {
                (rank, inputs, outputs, columns) = (inputs, rank, columns, outputs);
                a_values = turned(&a_values, rank as usize);
                b_values = turned(&b_values, outputs as usize);
            }
            let sizes = [rank, inputs, outputs, columns];
            let (name, scale) = of(module, rank as usize);
            additions.push(
                low_rank(name, scale, sizes, [a_values, b_values], false)
                    .map_err(|what| wrong(&what))?,
            );
        }
        Ok(additions)
    }
}

/// The addition to one matrix, if its factors `[rank, inputs]` and `[outputs, rank]` fit together
/// and hold only finite numbers.
pub(super) fn low_rank(
    name: String,
    scale: f32,
    [rank, inputs, outputs, columns]: [u64; 4],
    [a, b]: [Vec<f32>; 2],
    gguf_order: bool,
) -> std::result::Result<LowRank, String> {
    if rank != columns || rank == 0 {
        return Err(format!(
            "is of rank {rank} in its first matrix and of {columns} in its second"
        ));
    }
    if !scale.is_finite() || a.iter().chain(&b).any(|number| !number.is_finite()) {
        return Err("holds what is no number".into());
    }
    let (rank, inputs, outputs) = (rank as usize, inputs as usize, outputs as usize);
    Ok(LowRank { name, rank, inputs, outputs, scale, a, b, gguf_order })
}

/// Transposes a matrix, given the number of rows in the result.
fn turned(values: &[f32], rows: usize) -> Vec<f32> {
    (0..rows).flat_map(|row| values.iter().skip(row).step_by(rows.max(1)).copied()).collect()
}

fn floats(file: &Mapped, entry: &Entry) -> Result<Vec<f32>> {
    let wrong = |message: String| {
        Error::damaged_at(file.path(), Place::Tensor(shown(&entry.name)), message)
    };
    let dtype = entry
        .dtype
        .clone()
        .map_err(|other| wrong(format!("it has type {other}; f32, f16 and bf16 are read")))?;
    // The header was checked: elements and bytes agree, and the bytes are in the file.
    let bytes = &file.bytes()[entry.bytes.start as usize..entry.bytes.end as usize];
    let mut values = vec![0.0; bytes.len() / dtype.block_bytes() * dtype.block_len()];
    blocks::dequantise(dtype, bytes, &mut values).map_err(wrong)?;
    Ok(values)
}
