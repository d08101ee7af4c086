//! Low-rank additions to a model's matrices (Hu et al. 2021, arXiv:2106.09685): adapters as PEFT
//! stores them, as mlx-lm does, and as GGUF files.

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
/// PEFT's name of the weights, and mlx-lm's.
const WEIGHTS: [&str; 2] = ["adapter_model.safetensors", "adapters.safetensors"];

/// What is added to one matrix: y += scale · B (A x).
#[derive(Debug, Clone, PartialEq)]
pub struct LowRank {
    /// The matrix in GGUF's words, such as "blk.3.attn_q".
    pub name: String,
    /// Rows of A, columns of B.
    pub rank: usize,
    /// Columns of A.
    pub inputs: usize,
    /// Rows of B.
    pub outputs: usize,
    /// What B (A x) is multiplied by: in PEFT's words lora_alpha over the rank or its root, in
    /// mlx-lm's `scale`.
    pub scale: f32,
    /// [rank, inputs].
    pub a: Vec<f32>,
    /// [outputs, rank].
    pub b: Vec<f32>,
    /// Rows of B are in the order that GGUF files have them in, not in that of Hugging Face's
    /// checkpoints.
    pub gguf_order: bool,
}

/// An adapter's file, read.
#[derive(Debug, Clone)]
pub struct Lora {
    path: PathBuf,
    additions: Vec<LowRank>,
}

impl Lora {
    /// Reads a folder, or its file of weights, or a GGUF file, for a model of the family that GGUF
    /// calls `architecture`.
    ///
    /// # Errors
    /// If it cannot be read, is damaged or of a kind that is not read, or asks for more than
    /// low-rank additions to matrices.
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

    /// What is added, by name.
    pub fn additions(&self) -> &[LowRank] {
        &self.additions
    }

    /// An error about this adapter.
    pub fn path_error(&self, message: impl Into<String>) -> Error {
        Error::damaged(&self.path, message)
    }

    /// An error about what this adapter asks for and this version cannot do.
    pub fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::unsupported(&self.path, message)
    }
}

/// The file of weights of a folder.
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

/// The first bytes of a file, by which its kind is told.
fn first_bytes(path: &Path) -> Result<Vec<u8>> {
    let mut start = vec![];
    let file = File::open(path).map_err(Error::io("open", path))?;
    file.take(4).read_to_end(&mut start).map_err(Error::io("read", path))?;
    Ok(start)
}

/// Files that are programs for Python, or that it zips up.
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

/// The tensors of a safetensors file, as halves of what is added to matrices.
pub(super) struct Halves {
    file: Mapped,
    tensors: Vec<Entry>,
    modules: BTreeMap<String, [Option<Entry>; 2]>,
    /// Matrices are stored as [inputs, outputs].
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

    /// A tensor is one half of what is added to a module's matrix.
    pub(super) fn put(&mut self, module: String, half: usize, tensor: Entry) -> Result<()> {
        let place = &mut self.modules.entry(module).or_default()[half];
        match place.replace(tensor) {
            None => Ok(()),
            Some(twice) => {
                Err(self.wrong(format!("tensor {} is there under two names", shown(&twice.name))))
            }
        }
    }

    /// Joins the halves; `of` gives GGUF's name of a module, and the scale of a rank.
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

/// What is added to one matrix, if its `[rank, inputs]` and `[outputs, rank]` fit together and hold
/// numbers.
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

/// A matrix whose columns become its `rows` rows.
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
    // The header was checked: elements and bytes agree, and the bytes are there.
    let bytes = &file.bytes()[entry.bytes.start as usize..entry.bytes.end as usize];
    let mut values = vec![0.0; bytes.len() / dtype.block_bytes() * dtype.block_len()];
    blocks::dequantise(dtype, bytes, &mut values).map_err(wrong)?;
    Ok(values)
}
