//! A model as Hugging Face stores it: a folder with `config.json`, weights in one or several safetensors files, and
//! the tokenizer's files.

use super::cursor::shown;
use super::mapped::Mapped;
use super::names;
use super::shard::{self, Entry};
use super::tensor_table::TensorInfo;
use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Real configurations have some kilobytes, real indexes a megabyte, real tokenizers some tens of them.
const MOST_JSON_BYTES: u64 = 256 << 20;
/// No model has more files.
const MOST_SHARDS: usize = 4096;

/// An open Hugging Face folder.
pub struct Folder {
    path: PathBuf,
    config: Map<String, Value>,
    shards: Vec<Mapped>,
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors`.
    names: HashMap<String, usize>,
}

impl Folder {
    /// Reads the configuration and the tables of the weight files; the weights are not touched.
    ///
    /// # Errors
    /// If a file is missing or damaged.
    pub fn open(path: &Path) -> Result<Self> {
        let config = read_object(&path.join("config.json"))?;
        let model_type = config.get("model_type").and_then(Value::as_str).unwrap_or_default().to_owned();
        let (files, mut wanted) = weight_files(path)?;
        let (mut shards, mut tensors) = (vec![], vec![]);
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
                if names::unneeded(&model_type, &entry.name) {
                    continue;
                }
                let theirs = entry.name.clone();
                let info = info(&mapped, entry, file, &model_type)?;
                if found.insert(info.name.clone(), tensors.len()).is_some() {
                    let message = format!("tensor {} is there twice, as {}", shown(&theirs), info.name);
                    return Err(Error::format(mapped.path(), message));
                }
                tensors.push(info);
            }
            shards.push(mapped);
        }
        if let Some((name, &file)) = wanted.iter().flatten().next() {
            let message = format!("has no tensor {}, which the index expects there", shown(name));
            return Err(Error::format(shards[file].path(), message));
        }
        Ok(Self { path: path.to_owned(), config, shards, tensors, names: found })
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
        self.config
            .get("model_type")
            .and_then(Value::as_str)
            .ok_or_else(|| self.path_error("config.json names no model_type; choose a complete model"))
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

    /// Lets the system drop the pages of a tensor's data that nobody needs for now.
    pub fn release(&self, tensor: &TensorInfo) {
        let (start, end) = (tensor.offset as usize, (tensor.offset + tensor.bytes) as usize);
        self.shards[tensor.file].release(start..end);
    }

    /// As [`Folder::release`] with all of the weights' files.
    pub fn release_all(&self) {
        self.shards.iter().for_each(|shard| shard.release(0..shard.bytes().len()));
    }

    /// A JSON file of the folder, if it is there.
    ///
    /// # Errors
    /// If it cannot be read or is no JSON object.
    pub fn opt_object(&self, name: &str) -> Result<Option<Map<String, Value>>> {
        let path = self.path.join(name);
        if path.exists() { read_object(&path).map(Some) } else { Ok(None) }
    }

    /// A file of the folder, if it is there.
    ///
    /// # Errors
    /// If it cannot be read, or is absurdly large.
    pub fn opt_bytes(&self, name: &str) -> Result<Option<Vec<u8>>> {
        let path = self.path.join(name);
        if path.exists() { read_bytes(&path).map(Some) } else { Ok(None) }
    }

    /// An error about this folder.
    pub fn path_error(&self, message: impl Into<String>) -> Error {
        Error::format(&self.path, message)
    }
}

/// The folder and its counts.
impl fmt::Debug for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({:?}, {} tensors in {} files)", self.path, self.tensors.len(), self.shards.len())
    }
}

fn info(file: &Mapped, entry: Entry, index: usize, model_type: &str) -> Result<TensorInfo> {
    let Entry { name, shape, dtype, bytes } = entry;
    let wrong = |what: String| Error::format(file.path(), format!("tensor {}: {what}", shown(&name)));
    let dtype = dtype.map_err(|other| {
        wrong(format!("it has type {other}; f32, f16 and bf16 are read, convert the model to one of them"))
    })?;
    if shape.contains(&0) {
        return Err(wrong(format!("its shape {shape:?} has an axis of size 0; the file is damaged")));
    }
    let name = names::gguf_name(model_type, &name);
    Ok(TensorInfo { name, shape, dtype, offset: bytes.start, file: index, bytes: bytes.end - bytes.start })
}

const INDEX: &str = "model.safetensors.index.json";

/// The weight files by name and, where there is an index, the file of each tensor.
#[allow(clippy::type_complexity)] // two lists, used once
fn weight_files(folder: &Path) -> Result<(Vec<String>, Option<BTreeMap<String, usize>>)> {
    let path = folder.join(INDEX);
    if !path.exists() {
        let single = folder.join("model.safetensors");
        if !single.exists() {
            let other = ["pytorch_model.bin", "pytorch_model.bin.index.json", "tf_model.h5"];
            let other = other.iter().find(|name| folder.join(name).exists());
            let what = other
                .map_or(String::new(), |name| format!("; {name} is not read, save the model as safetensors"));
            let message = format!("has neither model.safetensors nor {INDEX}{what}");
            return Err(Error::format(folder, message));
        }
        return Ok((vec!["model.safetensors".into()], None));
    }
    let index = read_object(&path)?;
    let damaged = |message: String| Error::format(&path, format!("{message}; fetch it again"));
    let map = index.get("weight_map").and_then(Value::as_object);
    let map = map.ok_or_else(|| damaged("has no weight_map".into()))?;
    let mut files: Vec<String> = vec![];
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut wanted = BTreeMap::new();
    for (tensor, file) in map {
        let file = file.as_str().filter(|file| is_plain(file)).ok_or_else(|| {
            damaged(format!("the file of tensor {} is {file}, not the name of a file", shown(tensor)))
        })?;
        let at = *by_name.entry(file).or_insert_with(|| {
            files.push(file.to_owned());
            files.len() - 1
        });
        wanted.insert(tensor.clone(), at);
    }
    if files.is_empty() || files.len() > MOST_SHARDS {
        return Err(damaged(format!("names {} files", files.len())));
    }
    Ok((files, Some(wanted)))
}

/// One name, that leads to nowhere but into the folder.
fn is_plain(file: &str) -> bool {
    let mut parts = Path::new(file).components();
    matches!((parts.next(), parts.next()), (Some(Component::Normal(_)), None)) && !file.contains(['\\', '/'])
}

fn read_bytes(path: &Path) -> Result<Vec<u8>> {
    let bytes = std::fs::metadata(path).map_err(Error::io("open", path))?.len();
    if bytes > MOST_JSON_BYTES {
        let message = format!("has {} MiB, which no file of this kind needs", bytes >> 20);
        return Err(Error::format(path, message));
    }
    std::fs::read(path).map_err(Error::io("read", path))
}

pub(super) fn read_object(path: &Path) -> Result<Map<String, Value>> {
    let bytes = read_bytes(path)?;
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::format(path, "is JSON, but no object; fetch it again")),
        Err(error) => Err(Error::format(path, format!("is not sound JSON: {error}; fetch it again"))),
    }
}
