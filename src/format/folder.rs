//! A model as Hugging Face stores it: a folder with `config.json`, weights in one or several
//! safetensors files, and the tokenizer's files.

use super::blocks;
use super::cursor::shown;
use super::files::{self, is_there};
use super::ignored::Ignored;
use super::json::{self, read_object};
use super::mapped::Mapped;
use super::names::{self, Purpose};
use super::shard::{self, Entry};
use super::tensor_table::TensorInfo;
use super::weight_files::{WeightFiles, lacking};
use crate::error::Place;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const CONFIG: &str = "config.json";

/// An open Hugging Face folder.
pub struct Folder {
    path: PathBuf,
    config: Map<String, Value>,
    shards: Vec<Mapped>,
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors`.
    names: HashMap<String, usize>,
    /// Tensors of other tasks than text, which were left out, as the files call them.
    left_out: Vec<String>,
    ignored: Ignored,
    /// Whether the output matrix repeats the embedding table; looked up when it is first asked for.
    output_repeats: OnceLock<bool>,
}

impl Folder {
    /// Reads the configuration and the tables of the weight files; the weights are not touched.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        Self::open_ignoring(path, Ignored::default())
    }

    /// Reads what [`Folder::open`] reads, and lets these fields and tensors pass.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn open_ignoring(path: &Path, ignored: Ignored) -> Result<Self> {
        if !is_there(&path.join(CONFIG))? {
            let otherwise = "give a model's folder or a .gguf file";
            return Err(lacking(path, format!("is a folder without a {CONFIG}"), Some(otherwise)));
        }
        let config = read_object(&path.join(CONFIG))?;
        let model_type =
            config.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let WeightFiles { files, mut wanted } = WeightFiles::find(path)?;
        let (mut shards, mut tensors, mut left_out) = (vec![], vec![], vec![]);
        let mut found: HashMap<String, usize> = HashMap::new();
        for (file, name) in files.iter().enumerate() {
            let (mapped, entries) = shard::open(&path.join(name))?;
            for entry in entries {
                // With an index, the file that it names has the tensor.
                if wanted.as_ref().is_some_and(|wanted| wanted.get(&entry.name) != Some(&file)) {
                    continue;
                }
                if let Some(wanted) = &mut wanted {
                    wanted.remove(&entry.name);
                }
                match names::purpose(&model_type, &entry.name) {
                    Purpose::Nothing => continue,
                    Purpose::CacheScale if is_one(&mapped, &entry) => continue,
                    // What has a place in a model is not left out by accident.
                    Purpose::Text | Purpose::CacheScale
                        if ignored.has_tensor(&entry.name)
                            && !names::is_known(&model_type, &entry.name) =>
                    {
                        continue;
                    }
                    Purpose::Text | Purpose::CacheScale => {}
                    Purpose::OtherTask => {
                        left_out.push(entry.name);
                        continue;
                    }
                }
                let theirs = entry.name.clone();
                let info = info(&mapped, entry, file, &model_type)?;
                if found.insert(info.name.clone(), tensors.len()).is_some() {
                    let message =
                        format!("tensor {} is there twice, as {}", shown(&theirs), info.name);
                    return Err(Error::damaged(mapped.path(), message));
                }
                tensors.push(info);
            }
            shards.push(mapped);
        }
        if let Some((name, &file)) = wanted.iter().flatten().next() {
            let message = format!("has no tensor {}, which the index expects there", shown(name));
            return Err(Error::damaged(shards[file].path(), message));
        }
        let (path, names) = (path.to_owned(), found);
        Ok(Self {
            path,
            config,
            shards,
            tensors,
            names,
            left_out,
            ignored,
            output_repeats: OnceLock::new(),
        })
    }

    /// What is let pass.
    pub fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// Tensors of the files for other tasks than text, such as judging it.
    pub fn left_out(&self) -> &[String] {
        &self.left_out
    }

    /// Whether there is an output matrix that is the embedding table, byte for byte.
    pub fn output_repeats(&self) -> bool {
        *self.output_repeats.get_or_init(|| {
            let both = ["token_embd.weight", "output.weight"].map(|name| self.opt_tensor(name));
            let [Some(table), Some(output)] = both else { return false };
            let same = (table.dtype, &table.shape) == (output.dtype, &output.shape)
                && self.data(table) == self.data(output);
            [table, output].into_iter().for_each(|tensor| self.release(tensor));
            same
        })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What `config.json` says.
    pub fn config(&self) -> &Map<String, Value> {
        &self.config
    }

    /// `model_type` of the configuration.
    ///
    /// # Errors
    /// If it is missing.
    pub fn model_type(&self) -> Result<&str> {
        self.config.get("model_type").and_then(Value::as_str).ok_or_else(|| {
            self.path_error("config.json names no model_type; choose a complete model")
        })
    }

    /// Bytes of all weight files.
    pub fn file_bytes(&self) -> u64 {
        self.shards.iter().map(|shard| shard.bytes().len() as u64).sum()
    }

    /// All tensors under GGUF's names, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of this name, if there is one.
    pub fn opt_tensor(&self, name: &str) -> Option<&TensorInfo> {
        self.names.get(name).map(|&index| &self.tensors[index])
    }

    /// The stored bytes of a tensor of this folder.
    ///
    /// # Panics
    /// May panic if `tensor` is not of this folder.
    pub fn data(&self, tensor: &TensorInfo) -> &[u8] {
        let (start, end) = (tensor.offset as usize, (tensor.offset + tensor.bytes) as usize);
        &self.shards[tensor.file].bytes()[start..end]
    }

    /// Lets the system drop the pages of a tensor's data, which are not needed for now. The data
    /// stays readable.
    pub fn release(&self, tensor: &TensorInfo) {
        let (start, end) = (tensor.offset as usize, (tensor.offset + tensor.bytes) as usize);
        self.shards[tensor.file].release(start..end);
    }

    /// Lets the system drop the pages of all of the weights' files.
    pub fn release_all(&self) {
        self.shards.iter().for_each(|shard| shard.release(0..shard.bytes().len()));
    }

    /// A JSON file of the folder with an object, if it is there.
    ///
    /// # Errors
    /// If it cannot be read or is no JSON object.
    pub fn opt_object(&self, name: &str) -> Result<Option<Map<String, Value>>> {
        let path = self.path.join(name);
        files::opt_read(&path)?.map(|bytes| json::object(&path, &bytes)).transpose()
    }

    /// A JSON file of the folder, if it is there.
    ///
    /// # Errors
    /// If it cannot be read or is no JSON.
    pub fn opt_json(&self, name: &str) -> Result<Option<Value>> {
        let path = self.path.join(name);
        files::opt_read(&path)?.map(|bytes| json::parse(&path, &bytes)).transpose()
    }

    /// A file of the folder, if it is there.
    ///
    /// # Errors
    /// If it cannot be read, or is absurdly large.
    pub fn opt_bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        files::opt_read(&self.path.join(name))
    }

    /// An error about this folder.
    pub fn path_error(&self, message: impl Into<String>) -> Error {
        Error::damaged(&self.path, message)
    }

    /// An error about what this folder asks for and this version cannot do.
    pub fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::unsupported(&self.path, message)
    }

    /// An error about one of its tensors.
    pub fn tensor_error(&self, name: &str, message: impl Into<String>) -> Error {
        Error::damaged_at(&self.path, Place::Tensor(name.to_owned()), message)
    }
}

/// The folder and its counts.
impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Folder({:?}, {} tensors in {} files)",
            self.path,
            self.tensors.len(),
            self.shards.len()
        )
    }
}

fn info(file: &Mapped, entry: Entry, index: usize, model_type: &str) -> Result<TensorInfo> {
    let Entry { name, shape, dtype, bytes } = entry;
    let wrong = |what: String| Error::damaged_at(file.path(), Place::Tensor(shown(&name)), what);
    let dtype = dtype.map_err(|other| {
        wrong(format!(
            "it has type {other}; f32, f16 and bf16 are read, convert the model to one of them"
        ))
    })?;
    if shape.contains(&0) {
        return Err(wrong(format!(
            "its shape {shape:?} has an axis of size 0; the file is damaged"
        )));
    }
    let (name, mut shape) = (names::gguf_name(model_type, &name), shape);
    // A vector, which some files have as a column.
    if name.ends_with("norm.weight") || name.ends_with(".bias") {
        while shape.len() > 1 && shape.last() == Some(&1) {
            shape.pop();
        }
    }
    Ok(TensorInfo {
        name,
        shape,
        dtype,
        offset: bytes.start,
        file: index,
        bytes: bytes.end - bytes.start,
    })
}

/// Whether a tensor holds nothing but ones.
fn is_one(file: &Mapped, entry: &Entry) -> bool {
    let Ok(dtype) = entry.dtype else { return false };
    let data = &file.bytes()[entry.bytes.start as usize..entry.bytes.end as usize];
    let count: u64 = entry.shape.iter().product();
    // One of each head at most; what is larger is something else.
    let mut values = vec![0.0; count.min(4096) as usize];
    count <= 4096
        && blocks::dequantise(dtype, data, &mut values).is_ok()
        && values.iter().all(|&value| value == 1.0)
}
