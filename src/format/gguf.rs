//! GGUF, the file format of llama.cpp: metadata, a table of tensors, and their bytes, in one
//! memory-mapped file or several.
//!
//! Specification: `docs/gguf.md` of ggml-org/ggml. Versions 2 and 3 are read, little-endian.
//! Everything is checked when the file is opened, so that afterwards each tensor of the table can
//! be read without further ado.

use super::cursor::{Parsed, shown};
use super::gguf_part::{Part, all_parts};
use super::ignored::Ignored;
use super::mapped::Mapped;
use super::metadata::{Array, Value};
use super::split;
use super::strings::Strings;
use super::tensor_table::TensorInfo;
use crate::error::Place;
use crate::error::{Error, Result};
use std::fmt;
use std::path::{Path, PathBuf};

/// An open GGUF file, or all parts of a model that is split into several.
pub struct Gguf {
    path: PathBuf,
    files: Vec<Mapped>,
    version: u32,
    metadata: Vec<(String, Value)>,
    /// Indices into `metadata`, sorted by key.
    keys: Vec<usize>,
    tensors: Vec<TensorInfo>,
    /// Indices into `tensors`, sorted by name.
    names: Vec<usize>,
    ignored: Ignored,
}

impl Gguf {
    /// Maps the file and reads its metadata and tensor table; the tensors' bytes are not touched.
    /// A model in several files is given by any of them.
    ///
    /// # Errors
    /// If a file cannot be read, is not GGUF (the message says what it looks like instead), or is
    /// damaged, or if a part is missing.
    pub fn open(path: &Path) -> Result<Gguf> {
        let part = Part::open(path)?;
        let parts = match part.split {
            None => vec![part],
            Some(split) => all_parts(path, part, split)?,
        };
        Self::joined(path, parts)
    }

    fn joined(path: &Path, parts: Vec<Part>) -> Result<Gguf> {
        let (mut version, mut metadata) = (0, vec![]);
        let (mut files, mut tensors) = (vec![], vec![]);
        let is_split = parts.len() > 1;
        for (number, part) in parts.into_iter().enumerate() {
            if number == 0 {
                (version, metadata) = (part.version, part.metadata);
            }
            tensors.extend(
                part.tensors.into_iter().map(|tensor| TensorInfo { file: number, ..tensor }),
            );
            files.push(part.file);
        }
        if is_split {
            metadata.retain(|(key, _)| !key.starts_with(split::KEYS));
        }
        let wrong = |message| Error::damaged(path, message);
        let keys = sorted_by(&metadata, "metadata key", |(key, _)| key).map_err(wrong)?;
        let names = sorted_by(&tensors, "tensor", |tensor| &tensor.name).map_err(wrong)?;
        let (path, ignored) = (path.to_owned(), Ignored::default());
        Ok(Gguf { path, files, version, metadata, keys, tensors, names, ignored })
    }

    /// This model, with keys and tensors that are let pass.
    pub fn ignoring(self, ignored: Ignored) -> Self {
        Self { ignored, ..self }
    }

    /// What is let pass.
    pub fn ignored(&self) -> &Ignored {
        &self.ignored
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The paths of all its files, in order.
    pub fn files(&self) -> impl ExactSizeIterator<Item = &Path> {
        self.files.iter().map(Mapped::path)
    }

    /// The size of all files in bytes.
    pub fn file_bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes().len() as u64).sum()
    }

    /// The version of the format, 2 or 3.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// All metadata, in file order; of a model in parts, the first one's without what is said of
    /// the parts.
    pub fn metadata(&self) -> &[(String, Value)] {
        &self.metadata
    }

    /// The value of a metadata key.
    pub fn get(&self, key: &str) -> Option<&Value> {
        find(&self.metadata, &self.keys, key, |(key, _)| key).map(|(_, value)| value)
    }

    /// A non-negative integer of any width, if the key is there.
    pub fn opt_u32(&self, key: &str) -> Result<Option<u32>> {
        self.typed(key, "an integer of 0 to 2^32 - 1", Value::as_u32)
    }

    /// A float, if the key is there.
    pub fn opt_f32(&self, key: &str) -> Result<Option<f32>> {
        self.typed(key, "a float", Value::as_f32)
    }

    /// A string, if the key is there.
    pub fn opt_str(&self, key: &str) -> Result<Option<&str>> {
        self.typed(key, "a string", Value::as_str)
    }

    /// A boolean, if the key is there.
    pub fn opt_bool(&self, key: &str) -> Result<Option<bool>> {
        self.typed(key, "a boolean", Value::as_bool)
    }

    /// An array of any element type, if the key is there.
    pub fn opt_array(&self, key: &str) -> Result<Option<&Array>> {
        self.typed(key, "an array", Value::as_array)
    }

    /// An array of strings, if the key is there.
    pub fn opt_strings(&self, key: &str) -> Result<Option<&Strings>> {
        self.typed(key, "an array of strings", Value::as_strings)
    }

    /// A non-negative integer of any width.
    pub fn u32(&self, key: &str) -> Result<u32> {
        self.opt_u32(key)?.ok_or_else(|| self.missing(key))
    }

    /// A float.
    pub fn f32(&self, key: &str) -> Result<f32> {
        self.opt_f32(key)?.ok_or_else(|| self.missing(key))
    }

    /// A string.
    pub fn str(&self, key: &str) -> Result<&str> {
        self.opt_str(key)?.ok_or_else(|| self.missing(key))
    }

    /// A boolean.
    pub fn bool(&self, key: &str) -> Result<bool> {
        self.opt_bool(key)?.ok_or_else(|| self.missing(key))
    }

    /// An array of any element type.
    pub fn array(&self, key: &str) -> Result<&Array> {
        self.opt_array(key)?.ok_or_else(|| self.missing(key))
    }

    /// An array of strings.
    pub fn strings(&self, key: &str) -> Result<&Strings> {
        self.opt_strings(key)?.ok_or_else(|| self.missing(key))
    }

    /// All tensors, in file order.
    pub fn tensors(&self) -> &[TensorInfo] {
        &self.tensors
    }

    /// The tensor of this name, if there is one.
    pub fn opt_tensor(&self, name: &str) -> Option<&TensorInfo> {
        find(&self.tensors, &self.names, name, |tensor| &tensor.name)
    }

    /// The tensor of this name.
    pub fn tensor(&self, name: &str) -> Result<&TensorInfo> {
        self.opt_tensor(name).ok_or_else(|| {
            self.path_error(format!("has no tensor {name:?}; choose a complete model file"))
        })
    }

    /// The stored bytes of a tensor of this file.
    ///
    /// # Panics
    /// May panic if `tensor` is not of this file.
    pub fn data(&self, tensor: &TensorInfo) -> &[u8] {
        &self.files[tensor.file].bytes()
            [tensor.offset as usize..(tensor.offset + tensor.bytes) as usize]
    }

    /// Lets the system drop the pages of a tensor's data, which are not needed once it is on the
    /// device. The data stays readable, from the file again.
    pub fn release(&self, tensor: &TensorInfo) {
        self.files[tensor.file]
            .release(tensor.offset as usize..(tensor.offset + tensor.bytes) as usize);
    }

    /// Lets the system drop the pages of the whole file, the metadata's too.
    pub fn release_all(&self) {
        self.files.iter().for_each(|file| file.release(0..file.bytes().len()));
    }

    /// An error about this file.
    pub fn path_error(&self, message: impl Into<String>) -> Error {
        Error::damaged(self.path(), message)
    }

    /// An error about what this file asks for and this version cannot do.
    pub fn unsupported(&self, message: impl Into<String>) -> Error {
        Error::unsupported(self.path(), message)
    }

    /// An error about one of its tensors.
    pub fn tensor_error(&self, name: &str, message: impl Into<String>) -> Error {
        Error::damaged_at(self.path(), Place::Tensor(name.to_owned()), message)
    }

    fn missing(&self, key: &str) -> Error {
        self.path_error(format!(
            "metadata key {key:?} is missing; choose a complete model file or convert it anew"
        ))
    }

    fn typed<'a, T>(
        &'a self,
        key: &str,
        wanted: &str,
        as_type: fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>> {
        let Some(value) = self.get(key) else { return Ok(None) };
        as_type(value).map(Some).ok_or_else(|| {
            let found = value.type_name();
            self.path_error(format!(
                "metadata key {key:?} should be {wanted}, but is the {found} {value}"
            ))
        })
    }
}

/// The file and its counts; not the lists, which are long.
impl fmt::Debug for Gguf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (metadata, tensors) = (self.metadata.len(), self.tensors.len());
        write!(
            f,
            "Gguf({:?}, version {}, {metadata} metadata entries, {tensors} tensors)",
            self.path(),
            self.version
        )
    }
}

/// The order of the items by name; an error if a name comes twice.
pub(super) fn sorted_by<T>(items: &[T], what: &str, name: fn(&T) -> &String) -> Parsed<Vec<usize>> {
    let mut order: Vec<usize> = (0..items.len()).collect();
    order.sort_unstable_by_key(|i| name(&items[*i]));
    match order.windows(2).find(|pair| name(&items[pair[0]]) == name(&items[pair[1]])) {
        None => Ok(order),
        Some(pair) => Err(format!(
            "{what} {} is there twice; the file is damaged",
            shown(name(&items[pair[0]]))
        )),
    }
}

pub(super) fn find<'a, T>(
    items: &'a [T],
    order: &[usize],
    wanted: &str,
    name: fn(&T) -> &String,
) -> Option<&'a T> {
    let found = order.binary_search_by(|i| name(&items[*i]).as_str().cmp(wanted)).ok()?;
    Some(&items[order[found]])
}
